CREATE TABLE `coupon_results` (
  `result_id` bigint(20) NOT NULL,
  `user_id` bigint(20) NOT NULL,
  `coupon_id` bigint(20) NOT NULL,
  `room_id` bigint(20) NOT NULL,
  `grab_status` smallint(6) NOT NULL,
  `fail_reason` varchar(32) DEFAULT NULL,
  `grab_time` bigint(20) NOT NULL,
  `use_status` smallint(6) NOT NULL DEFAULT 0,
  `use_time` bigint(20) DEFAULT NULL,
  `order_amount` decimal(15,2) DEFAULT NULL,
  PRIMARY KEY (`result_id`),
  UNIQUE KEY `idx_user_coupon` (`user_id`,`coupon_id`),
  KEY `idx_room_time` (`room_id`,`grab_time`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `coupon_results` VALUES
(914259089427525632,1,3,1,1,NULL,1795813153031,1,1795857655749,87.99),
(914459925629890560,5,3,1,1,NULL,1795861036113,0,NULL,NULL),
(914502274489774080,4,3,1,1,NULL,1795871132868,0,NULL,NULL),
(914788362844372992,1,1,1,1,NULL,1795939341648,0,NULL,NULL),
(914788373632122880,4,2,2,1,NULL,1795939344220,0,NULL,NULL),
(914788373720203264,5,2,2,1,NULL,1795939344241,0,NULL,NULL);
CREATE TABLE `markers` (
  `marker_id` varchar(64) NOT NULL,
  `commit_time` bigint(20) NOT NULL,
  PRIMARY KEY (`marker_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `markers` VALUES
('0fbde2abf641752d7d41c1d6ace7a3af',1795939341577),
('58ddcf9d79a9be9476fd8e62811dff46',1795939341557);
CREATE TABLE `outbox` (
  `outbox_id` bigint(20) NOT NULL,
  `deltas` text NOT NULL,
  `create_time` bigint(20) NOT NULL,
  PRIMARY KEY (`outbox_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `outbox` VALUES
(2,'[[2,1]]',1795939344227),
(3,'[[2,1]]',1795939344328);
CREATE TABLE `parked_results` (
  `result_id` bigint(20) NOT NULL,
  `user_id` bigint(20) NOT NULL,
  `coupon_id` bigint(20) NOT NULL,
  `room_id` bigint(20) NOT NULL,
  `table_name` varchar(64) NOT NULL,
  `reason` varchar(255) NOT NULL,
  `park_time` bigint(20) NOT NULL,
  PRIMARY KEY (`result_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE `schema_history` (
  `version` int(11) NOT NULL,
  `name` varchar(255) DEFAULT NULL,
  `applied_on` varchar(255) DEFAULT NULL,
  `checksum` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `schema_history` VALUES
(2,'outbox','2026-11-29T08:02:20.705718143Z','18221294235820089292'),
(3,'servers','2026-11-29T08:02:20.749168589Z','2514340171026449275');
CREATE TABLE `shard_meta` (
  `name` varchar(64) NOT NULL,
  `value` varchar(255) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `shard_meta` VALUES
('dataset','362124b20db144b2'),
('shard','0');
CREATE TABLE `shard_state` (
  `id` smallint(6) NOT NULL,
  `dataset` varchar(64) NOT NULL,
  `outbox_id` bigint(20) NOT NULL,
  `closed_epoch` bigint(20) NOT NULL,
  `as_of` bigint(20) NOT NULL,
  `results` bigint(20) NOT NULL,
  `used` bigint(20) NOT NULL,
  `order_amount` decimal(20,2) NOT NULL,
  `messages` bigint(20) NOT NULL,
  `received` bigint(20) NOT NULL,
  `commits` bigint(20) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `shard_state` VALUES
(1,'362124b20db144b2',3,0,1795939344242,6,1,87.99,7,3,7);
