//! The words that names and texts are made of. Every person and brand is made up.

pub(crate) const GIVEN: &[&str] = &[
    "ada", "amir", "bela", "chen", "dina", "emil", "fatou", "goran", "hana", "ines", "jun", "kofi", "lena",
    "mei", "nils", "olga", "paz", "quinn", "rosa", "sven", "tara", "umar", "vera", "wei", "xenia", "yuki",
    "zoe", "lin",
];

pub(crate) const FAMILY: &[&str] = &[
    "abbas", "berg", "castro", "diallo", "eriksen", "fischer", "gupta", "huang", "ivanov", "jensen",
    "kimura", "larsen", "moreau", "novak", "okafor", "ortiz", "park", "rossi", "silva", "tanaka", "ueda",
    "vargas", "wang", "xu", "yilmaz", "zhang",
];

pub(crate) const SHOWS: &[&str] = &[
    "Late Night Deals",
    "Kitchen Hour",
    "Sneaker Drop",
    "Beauty Lab",
    "Gadget Garage",
    "Book Club Live",
    "Snack Attack",
    "Home and Garden",
    "Trail and Tent",
    "Toy Box",
    "Denim Days",
    "Coffee Corner",
];

pub(crate) const CATEGORIES: &[&str] = &[
    "audio",
    "books",
    "coffee",
    "cookware",
    "cosmetics",
    "footwear",
    "furniture",
    "garden",
    "groceries",
    "laptops",
    "luggage",
    "outdoor",
    "pet supplies",
    "phones",
    "sportswear",
    "stationery",
    "tea",
    "toys",
    "watches",
];

pub(crate) const BRANDS: &[&str] = &[
    "Alderbrook",
    "Bluefinch",
    "Corvina",
    "Dunemark",
    "Elmsworth",
    "Fjordling",
    "Greywing",
    "Hollowtree",
    "Inkstone",
    "Juniperra",
    "Kestrelle",
    "Lumenfold",
    "Marrowby",
    "Northgale",
    "Oakhollow",
    "Pinebarrow",
];

pub(crate) const PRAISE: &[&str] = &[
    "Picked by the host for tonight's show, and gone when the counter reaches zero.",
    "Everything on the table this evening was tried on camera, unboxed and put back together.",
    "Made in small batches; the host visited the workshop and asked the questions you sent in.",
    "Viewers of the last show asked for this one again, so it is back with a larger stock.",
    "It ships from the nearest warehouse, in plain recycled packaging, usually the next working day.",
    "Colours may look warmer under the studio's lights than they do by day.",
    "The two-year guarantee covers parts and labour; keep the order number, no card is needed.",
    "Ask in the chat: the answers are collected below the video and stay there after the show.",
    "A set makes a better present than a single piece, and the coupon applies to both.",
    "Sizes run true; when in doubt, take the larger one and exchange it without charge.",
    "The recipe shown on air is included, as are the measurements the host read out.",
    "Last season's model differs in the clasp only, and spare parts fit both.",
];

pub(crate) const RULES: &[&str] = &[
    "One coupon for each viewer; a second grab is answered with the first one.",
    "It cannot be exchanged for money, nor be combined with another coupon of the same room.",
    "It applies to the items listed below, before delivery and after any discount of the shop's own.",
    "When an order is cancelled before dispatch, the coupon is not given back.",
    "Orders that fall below the minimum purchase after a return lose the discount.",
    "The coupon is valid until the end of its window, by UTC, on the server's clock.",
    "Gift cards, subscriptions and items on pre-order are excluded.",
    "Coupons obtained by automated means may be withdrawn before they are used.",
    "The stock shown is what is left at that moment; the answer to a grab is what counts.",
    "Questions are answered at help@example.com, in the order in which they arrive.",
];
