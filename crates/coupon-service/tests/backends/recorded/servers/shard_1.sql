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
(914079526139457536,3,3,1,1,NULL,1795770341807,0,NULL,NULL),
(914137372512219136,2,3,1,1,NULL,1795784133457,0,NULL,NULL),
(914281049846968320,6,3,1,1,NULL,1795818388803,0,NULL,NULL),
(914595135059128320,2,4,1,1,NULL,1795893272553,1,1795920964606,468.99),
(914636964941000704,3,4,1,1,NULL,1795903245574,1,1795919028782,236.99),
(914788362945036288,2,1,1,1,NULL,1795939341672,0,NULL,NULL),
(914788363058282496,3,1,1,1,NULL,1795939341699,0,NULL,NULL);
CREATE TABLE `markers` (
  `marker_id` varchar(64) NOT NULL,
  `commit_time` bigint(20) NOT NULL,
  PRIMARY KEY (`marker_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `markers` VALUES
('4d7341c93f4e62d167968d9a31ad0183',1795939341559),
('f9b4b59ae94582ea93179962967f489e',1795939341577);
CREATE TABLE `outbox` (
  `outbox_id` bigint(20) NOT NULL,
  `deltas` text NOT NULL,
  `create_time` bigint(20) NOT NULL,
  PRIMARY KEY (`outbox_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
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
(2,'outbox','2026-11-29T08:02:20.814730061Z','18221294235820089292'),
(3,'servers','2026-11-29T08:02:20.870379994Z','2514340171026449275');
CREATE TABLE `shard_meta` (
  `name` varchar(64) NOT NULL,
  `value` varchar(255) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `shard_meta` VALUES
('dataset','362124b20db144b2'),
('shard','1');
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
(1,'362124b20db144b2',2,0,1795939343775,7,2,705.98,6,2,6);
