-- What operators take back of a total.

-- by how much the total is below the largest that it was: so many more than the total may be sold, and `remaining_stock` is
-- then below zero by as many
ALTER TABLE coupons ADD COLUMN taken_back INT NOT NULL DEFAULT 0;
