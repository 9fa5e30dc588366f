//! The `loadtest compare` of a run of the page: the page is for seeing, the command for deciding.

use std::fmt::Write as _;

use coupon_loadgen::load::Arrivals;
use coupon_loadgen::workload::{Requests, RoomChoice, Workload};

use crate::compare::{CompareOptions, ServersChoice};

/// The command; with an edited workload it takes the file whose text [`workload`] is.
pub(super) fn command(options: &CompareOptions) -> String {
    let names: Vec<&str> = options.contestants.iter().map(|spec| spec.name.as_str()).collect();
    let mut command = format!("loadtest compare --contestants {}", names.join(","));
    let mut flag = |flag: String| {
        command.push(' ');
        command.push_str(&flag);
    };
    if let Arrivals::Open { rate } = options.load.arrivals {
        flag(format!("--rate {rate}"));
    }
    let shards = options.contestants.iter().map(|spec| spec.shards).max();
    if let Some(shards) = shards.filter(|shards| shards.get() != 4) {
        flag(format!("--shards {shards}"));
    }
    if options.setup.seed.history > 0 {
        flag(format!("--history {}", options.setup.seed.history));
    }
    if !matches!(options.servers, ServersChoice::None) {
        flag("--backend servers".to_owned());
    }
    if options.load.workload != Workload::default() {
        flag("--workload workload.toml".to_owned());
    }
    command
}

/// A workload of scenarios, as a file has it; none where it is the built-in one.
pub(super) fn workload(workload: &Workload) -> Option<String> {
    let Requests::Scenarios(scenarios) = &workload.requests else { return None };
    if *workload == Workload::default() {
        return None;
    }
    let catalogue = &workload.catalogue;
    let mut text = format!(
        "name = {:?}\n\n[catalogue]\nusers = {}\nrooms = {}\nhot_rooms = {}\ncoupons_per_room = {}\n",
        workload.name, catalogue.users, catalogue.rooms, catalogue.hot_rooms, catalogue.coupons_per_room
    );
    for scenario in scenarios {
        let rooms = if scenario.rooms == RoomChoice::Hot { "hot" } else { "any" };
        let action = |action: &coupon_loadgen::workload::ScenarioAction| {
            format!("    {{ do = {:?}, weight = {:?} }},\n", action.endpoint.key(), action.weight)
        };
        let actions: String = scenario.actions.iter().map(action).collect();
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "\n[[scenarios]]\nname = {:?}\nusers = {:?}\nthink_s = {:?}\nrooms = {rooms:?}\nactions = [\n{actions}]\n",
            scenario.name, scenario.users, scenario.think_s
        );
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::form::read;
    use super::*;

    #[test]
    fn what_the_page_asks_for_at_first_needs_no_file() {
        let options = read(b"{}", false).unwrap();
        assert_eq!(command(&options), "loadtest compare --contestants hash,range-time --rate 1000");
        assert_eq!(workload(&options.load.workload), None);
    }

    #[test]
    fn another_workload_is_a_file_that_says_the_same() {
        let form =
            br#"{"mix":{"admin":2.5},"users":50,"shards":8,"history":9,"contestants":["hash","single"]}"#;
        let options = read(form, true).unwrap();
        let rest = "--rate 1000 --shards 8 --history 9 --backend servers --workload workload.toml";
        assert_eq!(command(&options), format!("loadtest compare --contestants hash,single {rest}"));
        let text = workload(&options.load.workload).unwrap();
        assert_eq!(Workload::from_toml(&text, Path::new("")).unwrap(), options.load.workload);
    }
}
