-- The main database: users, rooms, coupons and their stock.
--
-- Times are milliseconds since 1970, UTC. TIMESTAMPADD(SECOND, start_time DIV 1000, '1970-01-01') shows them to people.

CREATE TABLE users (
    user_id BIGINT NOT NULL PRIMARY KEY,
    username VARCHAR(64) NOT NULL,
    phone VARCHAR(20) NOT NULL,
    email VARCHAR(128) NOT NULL,
    register_time BIGINT NOT NULL,
    last_login BIGINT,
    -- 1 normal, 2 VIP, 3 SVIP
    user_level SMALLINT NOT NULL DEFAULT 1,
    is_active SMALLINT NOT NULL DEFAULT 1
) ENGINE = InnoDB;

CREATE TABLE live_rooms (
    room_id BIGINT NOT NULL PRIMARY KEY,
    room_name VARCHAR(128) NOT NULL,
    anchor_id BIGINT NOT NULL,
    -- 0 not started, 1 live, 2 ended
    room_status SMALLINT NOT NULL DEFAULT 0,
    viewer_count BIGINT NOT NULL DEFAULT 0,
    start_time BIGINT NOT NULL,
    end_time BIGINT,
    create_time BIGINT NOT NULL,
    is_hot SMALLINT NOT NULL DEFAULT 0
) ENGINE = InnoDB;

-- Narrow and hot: what a grab and a listing need.
CREATE TABLE coupons (
    coupon_id BIGINT NOT NULL PRIMARY KEY,
    room_id BIGINT NOT NULL,
    coupon_name VARCHAR(128) NOT NULL,
    -- 1 amount off, 2 percentage, 3 no threshold
    coupon_type SMALLINT NOT NULL,
    discount_amount DECIMAL(15, 2),
    -- percent
    discount_rate SMALLINT,
    min_purchase DECIMAL(15, 2) NOT NULL DEFAULT 0,
    total_stock INT NOT NULL,
    remaining_stock INT NOT NULL,
    start_time BIGINT NOT NULL,
    end_time BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    -- 0 inactive, 1 active
    status SMALLINT NOT NULL DEFAULT 1
) ENGINE = InnoDB;

CREATE INDEX idx_coupon_room ON coupons (room_id);

-- Wide and cold: vertical partitioning keeps these KBs out of the way of grabs and listings.
CREATE TABLE coupon_details (
    coupon_id BIGINT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    usage_rules TEXT NOT NULL,
    product_range JSON NOT NULL
) ENGINE = InnoDB;

CREATE TABLE stock_logs (
    log_id BIGINT NOT NULL PRIMARY KEY,
    coupon_id BIGINT NOT NULL,
    -- 1 initialise, 2 deduct, 3 roll back
    operation_type SMALLINT NOT NULL,
    stock_before INT NOT NULL,
    stock_after INT NOT NULL,
    operator VARCHAR(64) NOT NULL,
    -- where a deduction came from: the shard, and the last entry of its outbox that it covers; NULL in lines that came with a copy
    -- of another data set, up to the line that `meta` names (copied_lines)
    shard SMALLINT,
    outbox_id BIGINT,
    create_time BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE INDEX idx_log_coupon ON stock_logs (coupon_id, log_id);

-- How far each shard's outbox has been applied to `coupons`: each entry exactly once.
CREATE TABLE outbox_positions (
    shard BIGINT NOT NULL PRIMARY KEY,
    outbox_id BIGINT NOT NULL
) ENGINE = InnoDB;

-- The data set's id, its strategy's layout, and the version of this schema.
CREATE TABLE meta (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    value VARCHAR(255) NOT NULL
) ENGINE = InnoDB;
