//! A service on a RabbitMQ of three nodes that are killed, one after the other, and most of them at once.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use coupon_stack::{Server, Stack, Topology};

use crate::frozen::Place;
use crate::growing_servers::{FIRST_USER, Load, PAUSE, USERS, audit, make, settings, until};
use crate::process::Service;

const NODES: u16 = 3;

fn stack() -> Stack {
    let rabbitmq = NonZeroU16::new(NODES).unwrap();
    Stack::start(&Topology { shards: NonZeroU16::MIN, rabbitmq, ..Topology::default() }.into()).unwrap()
}

/// Grabs are granted, and the last of them is spent.
fn goes_on(load: &Load, service: &Service) {
    let granted = || load.granted.lock().unwrap().len();
    let before = granted();
    until("grabs are granted", || granted() > before + 20);
    let user = *load.granted.lock().unwrap().last().unwrap();
    let held = || service.until_done(&format!("GET /api/user/{user}/coupons"), "")["items"][0].clone();
    until("it is stored", || held().is_object());
    let id = held()["result_id"].as_str().unwrap().to_owned();
    let order = format!(r#"{{"user_id":{user},"result_id":"{id}","order_amount":1000000}}"#);
    service.until_done("POST /api/coupon/use", &order);
}

/// Everything that was granted is stored, once, and the auditor finds nothing.
fn is_sound(stack: &Stack, service: Service, flags: &[String], load: &Load) {
    service.until_done("POST /admin/drain", "");
    drop(service);
    let place = Place::open(flags);
    let stored: BTreeSet<u64> = place.stored_over(4).into_iter().map(|(user, ..)| user.get()).collect();
    place.backend.lifecycle.close();
    assert!(load.granted.lock().unwrap().is_subset(&stored));
    audit(stack, true);
}

#[test]
fn grabs_and_uses_go_on_while_each_node_in_turn_is_killed_and_comes_back() {
    let stack = stack();
    let flags = settings(&stack);
    make(&flags);
    let service = Service::start(&flags);
    let load = Load::new(&service);
    let going_on = {
        let load = Arc::clone(&load);
        thread::spawn(move || load.run(2, PAUSE, |load| load.stops.load(Ordering::Relaxed)))
    };
    goes_on(&load, &service);
    for node in (0..NODES).map(Server::RabbitMq) {
        stack.kill(node).unwrap();
        goes_on(&load, &service);
        stack.restart(node).unwrap();
        goes_on(&load, &service);
    }
    load.stops.store(true, Ordering::Relaxed);
    going_on.join().unwrap();
    is_sound(&stack, service, &flags, &load);
}

#[test]
fn without_a_majority_nothing_is_granted_and_nothing_stays_reserved_when_it_is_back() {
    let stack = stack();
    let flags = settings(&stack);
    make(&flags);
    let service = Service::start(&flags);
    let load = Load::new(&service);
    load.run(2, PAUSE, |load| load.granted.lock().unwrap().len() > 20);

    let most = [1, 2].map(Server::RabbitMq);
    most.iter().for_each(|node| stack.kill(*node).unwrap());
    let cut_off: Vec<u64> = (FIRST_USER..FIRST_USER + USERS).rev().take(10).collect();
    for user in &cut_off {
        let answer = load.ask(*user).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    // Every second of them never asks again.
    most.iter().for_each(|node| stack.restart(*node).unwrap());
    for user in cut_off.iter().step_by(2) {
        let answer = load.decided(*user);
        assert!(answer.contains(r#""grab_status":1"#) || answer.contains("duplicate"), "{answer}");
    }
    is_sound(&stack, service, &flags, &load);
}
