-- On what terms a coupon can be grabbed, beside its stock and window. By default a grab is final, and each user gets one.

-- seconds for which a grab is held, to be confirmed; 0: it is the user's at once
ALTER TABLE coupons ADD COLUMN hold_s INT NOT NULL DEFAULT 0;
-- live results that one user may have at a time, 1 to 100
ALTER TABLE coupons ADD COLUMN user_limit SMALLINT NOT NULL DEFAULT 1;
-- 1: users may hand back what they own
ALTER TABLE coupons ADD COLUMN returnable SMALLINT NOT NULL DEFAULT 0;
