CREATE TABLE `coupon_details` (
  `coupon_id` bigint(20) NOT NULL,
  `description` text NOT NULL,
  `usage_rules` text NOT NULL,
  `product_range` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`product_range`)),
  PRIMARY KEY (`coupon_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `coupon_details` VALUES
(1,'Made in small batches; the host visited the workshop and asked the questions you sent in. Made in small batches; the host visited the workshop and asked the questions you sent in. Colours may look warmer under the studio\'s lights than they do by day. It ships from the nearest warehouse, in plain recycled packaging, usually the next working day. Made in small batches; the host visited the workshop and asked the questions you sent in.\n\nMade in small batches; the host visited the workshop and asked the questions you sent in. Viewers of the last show asked for this one again, so it is back with a larger stock. It ships from the nearest warehouse, in plain recycled packaging, usually the next working day. Last season\'s model differs in the clasp only, and spare parts fit both. Everything on the table this evening was tried on camera, unboxed and put back together.\n\nThe two-year guarantee covers parts and labour; keep the order number, no card is needed. Made in small batches; the host visited the workshop and asked the questions you sent in. Picked by the host for tonight\'s show, and gone when the counter reaches zero. Ask in the chat: the answers are collected below the video and stay there after the show. Colours may look warmer under the studio\'s lights than they do by day.\n\nSizes run true; when in doubt, take the larger one and exchange it without charge. Colours may look warmer under the studio\'s lights than they do by day. Picked by the host for tonight\'s show, and gone when the counter reaches zero. The two-year guarantee covers parts and labour; keep the order number, no card is needed. The two-year guarantee covers parts and labour; keep the order number, no card is needed.','It cannot be exchanged for money, nor be combined with another coupon of the same room. It applies to the items listed below, before delivery and after any discount of the shop\'s own. Questions are answered at help@example.com, in the order in which they arrive. The stock shown is what is left at that moment; the answer to a grab is what counts. One coupon for each viewer; a second grab is answered with the first one. Questions are answered at help@example.com, in the order in which they arrive. The stock shown is what is left at that moment; the answer to a grab is what counts. Gift cards, subscriptions and items on pre-order are excluded.','{\"articles\":[271210,761938,614233,736948,402016,382464,502572,573122,379830,898400,520006,865227,633283,268798,859123,120170,707585,212071,660576,689881,431224,937131,827608,766271,133187,898678,906500,229762,361011,398755,211961,844030,245068,140683,566528,646732,176964,695349,923366,223034,410747,747911,441058,527605,600876,517128,248046,255458,717478,369909,567908,219076,747925,196109,275800,930573,353315,654224,765778,842066],\"brands\":[\"Lumenfold\",\"Greywing\",\"Alderbrook\"],\"categories\":[\"cosmetics\",\"coffee\",\"phones\"]}'),
(2,'The two-year guarantee covers parts and labour; keep the order number, no card is needed. The two-year guarantee covers parts and labour; keep the order number, no card is needed. Colours may look warmer under the studio\'s lights than they do by day. Picked by the host for tonight\'s show, and gone when the counter reaches zero. It ships from the nearest warehouse, in plain recycled packaging, usually the next working day.\n\nA set makes a better present than a single piece, and the coupon applies to both. The recipe shown on air is included, as are the measurements the host read out. The two-year guarantee covers parts and labour; keep the order number, no card is needed. Viewers of the last show asked for this one again, so it is back with a larger stock. Ask in the chat: the answers are collected below the video and stay there after the show.\n\nLast season\'s model differs in the clasp only, and spare parts fit both. Viewers of the last show asked for this one again, so it is back with a larger stock. Sizes run true; when in doubt, take the larger one and exchange it without charge. Last season\'s model differs in the clasp only, and spare parts fit both. Sizes run true; when in doubt, take the larger one and exchange it without charge.\n\nAsk in the chat: the answers are collected below the video and stay there after the show. Picked by the host for tonight\'s show, and gone when the counter reaches zero. Colours may look warmer under the studio\'s lights than they do by day. Sizes run true; when in doubt, take the larger one and exchange it without charge. Colours may look warmer under the studio\'s lights than they do by day.','The stock shown is what is left at that moment; the answer to a grab is what counts. One coupon for each viewer; a second grab is answered with the first one. It applies to the items listed below, before delivery and after any discount of the shop\'s own. It cannot be exchanged for money, nor be combined with another coupon of the same room. When an order is cancelled before dispatch, the coupon is not given back. Orders that fall below the minimum purchase after a return lose the discount. Orders that fall below the minimum purchase after a return lose the discount. It applies to the items listed below, before delivery and after any discount of the shop\'s own.','{\"articles\":[520069,946031,551003,365814,719451,442068,189433,512735,442869,253570,608943,299705,361813,774925,767767,872721,985085,383774,885268,698569,571419,749748,347710,884770,819562,402322,281425,368242,189614,941738,236435,107759,864424,660805,172733,939412,103848,604492,493899,452169,979681,115808,795479,137111,604954,973021,812785,349541,323335,935358,684410,618991,794795,601951,842605,254265,687426,630212,829038,384273],\"brands\":[\"Bluefinch\",\"Elmsworth\",\"Oakhollow\"],\"categories\":[\"garden\",\"laptops\",\"outdoor\"]}'),
(3,'A set makes a better present than a single piece, and the coupon applies to both. A set makes a better present than a single piece, and the coupon applies to both. Viewers of the last show asked for this one again, so it is back with a larger stock. Picked by the host for tonight\'s show, and gone when the counter reaches zero. Last season\'s model differs in the clasp only, and spare parts fit both.\n\nSizes run true; when in doubt, take the larger one and exchange it without charge. A set makes a better present than a single piece, and the coupon applies to both. Sizes run true; when in doubt, take the larger one and exchange it without charge. Viewers of the last show asked for this one again, so it is back with a larger stock. Picked by the host for tonight\'s show, and gone when the counter reaches zero.\n\nLast season\'s model differs in the clasp only, and spare parts fit both. Last season\'s model differs in the clasp only, and spare parts fit both. Colours may look warmer under the studio\'s lights than they do by day. Sizes run true; when in doubt, take the larger one and exchange it without charge. The two-year guarantee covers parts and labour; keep the order number, no card is needed.\n\nPicked by the host for tonight\'s show, and gone when the counter reaches zero. Colours may look warmer under the studio\'s lights than they do by day. Everything on the table this evening was tried on camera, unboxed and put back together. Ask in the chat: the answers are collected below the video and stay there after the show. Colours may look warmer under the studio\'s lights than they do by day.','When an order is cancelled before dispatch, the coupon is not given back. It cannot be exchanged for money, nor be combined with another coupon of the same room. Questions are answered at help@example.com, in the order in which they arrive. Orders that fall below the minimum purchase after a return lose the discount. It cannot be exchanged for money, nor be combined with another coupon of the same room. Questions are answered at help@example.com, in the order in which they arrive. It cannot be exchanged for money, nor be combined with another coupon of the same room. Orders that fall below the minimum purchase after a return lose the discount.','{\"articles\":[574803,101589,100800,540539,273715,901071,670798,169940,841539,298938,281532,982996,613076,280099,232323,266901,761810,154023,538299,999727,204835,917342,149147,981824,295942,460543,594787,313244,447868,795497,259021,343939,324595,363888,421062,452451,563017,489624,849250,551190,477127,484933,275948,819406,246178,755823,175722,885174,415879,941773,104998,621104,512188,779176,870914,162325,526264,106714,104958,416710],\"brands\":[\"Marrowby\",\"Marrowby\",\"Bluefinch\"],\"categories\":[\"books\",\"groceries\",\"pet supplies\"]}'),
(4,'Made in small batches; the host visited the workshop and asked the questions you sent in. A set makes a better present than a single piece, and the coupon applies to both. Sizes run true; when in doubt, take the larger one and exchange it without charge. The two-year guarantee covers parts and labour; keep the order number, no card is needed. Picked by the host for tonight\'s show, and gone when the counter reaches zero.\n\nMade in small batches; the host visited the workshop and asked the questions you sent in. It ships from the nearest warehouse, in plain recycled packaging, usually the next working day. The recipe shown on air is included, as are the measurements the host read out. Made in small batches; the host visited the workshop and asked the questions you sent in. Picked by the host for tonight\'s show, and gone when the counter reaches zero.\n\nColours may look warmer under the studio\'s lights than they do by day. The two-year guarantee covers parts and labour; keep the order number, no card is needed. Picked by the host for tonight\'s show, and gone when the counter reaches zero. The recipe shown on air is included, as are the measurements the host read out. The two-year guarantee covers parts and labour; keep the order number, no card is needed.\n\nSizes run true; when in doubt, take the larger one and exchange it without charge. Everything on the table this evening was tried on camera, unboxed and put back together. Sizes run true; when in doubt, take the larger one and exchange it without charge. Everything on the table this evening was tried on camera, unboxed and put back together. It ships from the nearest warehouse, in plain recycled packaging, usually the next working day.','Coupons obtained by automated means may be withdrawn before they are used. When an order is cancelled before dispatch, the coupon is not given back. One coupon for each viewer; a second grab is answered with the first one. Orders that fall below the minimum purchase after a return lose the discount. One coupon for each viewer; a second grab is answered with the first one. It cannot be exchanged for money, nor be combined with another coupon of the same room. The stock shown is what is left at that moment; the answer to a grab is what counts. The coupon is valid until the end of its window, by UTC, on the server\'s clock.','{\"articles\":[533553,139144,391099,971649,259693,949082,322069,192906,534181,532637,849766,675253,125261,392848,293892,657450,935626,867311,275330,272105,210664,784412,807138,687325,332751,141632,436053,811076,615630,843830,667276,175846,446805,114576,128947,571547,553230,944805,372865,422839,529886,201999,745942,107043,983911,470335,235699,442926,287743,214818,230293,476860,834942,743666,793005,402307,833575,100615,523444,159482],\"brands\":[\"Marrowby\",\"Lumenfold\",\"Dunemark\"],\"categories\":[\"garden\",\"watches\",\"cookware\"]}');
CREATE TABLE `coupons` (
  `coupon_id` bigint(20) NOT NULL,
  `room_id` bigint(20) NOT NULL,
  `coupon_name` varchar(128) NOT NULL,
  `coupon_type` smallint(6) NOT NULL,
  `discount_amount` decimal(15,2) DEFAULT NULL,
  `discount_rate` smallint(6) DEFAULT NULL,
  `min_purchase` decimal(15,2) NOT NULL DEFAULT 0.00,
  `total_stock` int(11) NOT NULL,
  `remaining_stock` int(11) NOT NULL,
  `start_time` bigint(20) NOT NULL,
  `end_time` bigint(20) NOT NULL,
  `create_time` bigint(20) NOT NULL,
  `update_time` bigint(20) NOT NULL,
  `status` smallint(6) NOT NULL DEFAULT 1,
  PRIMARY KEY (`coupon_id`),
  KEY `idx_coupon_room` (`room_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `coupons` VALUES
(1,1,'110.00 off above 142.99: phones',1,110.00,NULL,142.99,5,2,1795910400000,1798502400000,1795910400000,1795939342701,1),
(2,2,'180.00 off above 180.00: cookware',1,180.00,NULL,180.00,5,5,1795910400000,1798502400000,1795910400000,1795910400000,1),
(3,1,'140.00 off anything: audio',3,140.00,NULL,0.00,6,0,1795737600000,1795910400000,1795737600000,1795871132868,0),
(4,1,'10% off: cosmetics',2,NULL,10,159.99,6,4,1795824000000,1795910400000,1795824000000,1795903245574,0);
CREATE TABLE `gate_state` (
  `id` smallint(6) NOT NULL,
  `epoch` bigint(20) NOT NULL,
  `open_epoch` bigint(20) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `gate_state` VALUES
(1,1,1);
CREATE TABLE `live_rooms` (
  `room_id` bigint(20) NOT NULL,
  `room_name` varchar(128) NOT NULL,
  `anchor_id` bigint(20) NOT NULL,
  `room_status` smallint(6) NOT NULL DEFAULT 0,
  `viewer_count` bigint(20) NOT NULL DEFAULT 0,
  `start_time` bigint(20) NOT NULL,
  `end_time` bigint(20) DEFAULT NULL,
  `create_time` bigint(20) NOT NULL,
  `is_hot` smallint(6) NOT NULL DEFAULT 0,
  PRIMARY KEY (`room_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `live_rooms` VALUES
(1,'Late Night Deals with Mei',900001,1,121975,1795910400000,NULL,1768348800000,1),
(2,'Denim Days with Vera',900002,1,1323,1795910400000,NULL,1784332800000,0);
CREATE TABLE `meta` (
  `name` varchar(64) NOT NULL,
  `value` varchar(255) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `meta` VALUES
('dataset','362124b20db144b2'),
('format','1'),
('layout','hash of user_id, mix xxh3, 2 shards'),
('shards','2');
CREATE TABLE `outbox_positions` (
  `shard` bigint(20) NOT NULL,
  `outbox_id` bigint(20) NOT NULL,
  PRIMARY KEY (`shard`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `outbox_positions` VALUES
(0,1),
(1,2);
CREATE TABLE `schema_history` (
  `version` int(11) NOT NULL,
  `name` varchar(255) DEFAULT NULL,
  `applied_on` varchar(255) DEFAULT NULL,
  `checksum` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `schema_history` VALUES
(1,'catalogue','2026-11-29T08:02:20.604695987Z','15469422926704487399'),
(2,'servers','2026-11-29T08:02:20.63961533Z','7311324010859405982');
CREATE TABLE `stock_logs` (
  `log_id` bigint(20) NOT NULL,
  `coupon_id` bigint(20) NOT NULL,
  `operation_type` smallint(6) NOT NULL,
  `stock_before` int(11) NOT NULL,
  `stock_after` int(11) NOT NULL,
  `operator` varchar(64) NOT NULL,
  `shard` smallint(6) DEFAULT NULL,
  `outbox_id` bigint(20) DEFAULT NULL,
  `create_time` bigint(20) NOT NULL,
  PRIMARY KEY (`log_id`),
  KEY `idx_log_coupon` (`coupon_id`,`log_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `stock_logs` VALUES
(1,1,1,0,5,'seeder',NULL,NULL,1795910400000),
(2,2,1,0,5,'seeder',NULL,NULL,1795910400000),
(3,3,1,0,6,'seeder',NULL,NULL,1795737600000),
(4,3,2,6,0,'seeder',NULL,NULL,1795871132868),
(5,4,1,0,6,'seeder',NULL,NULL,1795824000000),
(6,4,2,6,4,'seeder',NULL,NULL,1795903245574),
(914788367235813376,1,2,5,4,'grab',0,1,1795939342695),
(914788367260979200,1,2,4,2,'grab',1,2,1795939342701);
CREATE TABLE `users` (
  `user_id` bigint(20) NOT NULL,
  `username` varchar(64) NOT NULL,
  `phone` varchar(20) NOT NULL,
  `email` varchar(128) NOT NULL,
  `register_time` bigint(20) NOT NULL,
  `last_login` bigint(20) DEFAULT NULL,
  `user_level` smallint(6) NOT NULL DEFAULT 1,
  `is_active` smallint(6) NOT NULL DEFAULT 1,
  PRIMARY KEY (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `users` VALUES
(1,'wei.gupta1','+15550000001','wei.gupta1@example.com',1740699001385,1751538683592,2,1),
(2,'yuki.eriksen2','+15550000002','yuki.eriksen2@example.com',1723938362612,1727116029618,1,1),
(3,'lena.park3','+15550000003','lena.park3@example.com',1732534328965,1737706450344,1,1),
(4,'mei.zhang4','+15550000004','mei.zhang4@example.com',1750475843003,1777687998108,1,1),
(5,'rosa.castro5','+15550000005','rosa.castro5@example.com',1744948336373,1761501687487,1,1),
(6,'paz.larsen6','+15550000006','paz.larsen6@example.com',1757807692825,1776299306271,1,1);
CREATE TABLE `worker_leases` (
  `worker` smallint(6) NOT NULL,
  `holder` varchar(64) NOT NULL,
  `lease_start` bigint(20) NOT NULL,
  `lease_end` bigint(20) NOT NULL,
  PRIMARY KEY (`worker`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `worker_leases` VALUES
(0,'93cb61603e22ae7d',1795939341311,1795939941311),
(1,'93cb61603e22ae7d',1795939341311,1795939941311);
