"""The flash sale of workloads/flash-sale.toml for Locust: four kinds of users who think between their requests. With
CHECKOUT=1 there are shoppers too, as in workloads/checkout.toml: what they get held, they confirm, release or leave to expire,
and some of what they confirmed they use or return.

Locust is a closed loop: users wait for their answer before they think on, so a service that stalls is asked less and
its latencies look better than they are. For comparisons use `loadtest compare`, whose arrivals are open and which
audits what was acknowledged; this file is for those who know Locust, and for its web page.

    pip install -r loadtest/requirements.txt
    locust -f loadtest/locustfile.py --host http://127.0.0.1:8001             # then open http://127.0.0.1:8089
    locust -f loadtest/locustfile.py --host http://127.0.0.1:8002 --headless --users 50 --spawn-rate 10 --run-time 30s
    CHECKOUT=1 locust -f loadtest/locustfile.py --host http://127.0.0.1:8001  # of data from seeder --hold-s 600 --returnable

A service with an admin token wants it in COUPON__ADMIN__TOKEN.
"""

import os
from random import choices, randint, uniform
from time import sleep
from uuid import uuid4

from locust import FastHttpUser, between, task

# Which ids exist; the seeder's defaults. Coupon c belongs to room (c - 1) // COUPONS_PER_ROOM + 1.
USERS = int(os.environ.get("CATALOGUE_USERS", "100000"))
ROOMS = int(os.environ.get("CATALOGUE_ROOMS", "100"))
HOT_ROOMS = int(os.environ.get("CATALOGUE_HOT_ROOMS", "5"))
COUPONS_PER_ROOM = int(os.environ.get("CATALOGUE_COUPONS_PER_ROOM", "5"))

# For coupons that are held, as `seeder --hold-s 600 --returnable` makes them.
CHECKOUT = os.environ.get("CHECKOUT", "") == "1"

ADMIN_TOKEN = os.environ.get("COUPON__ADMIN__TOKEN", "")


def any_user():
    return randint(1, USERS)


def coupon_of(last_room):
    return randint(1, last_room * COUPONS_PER_ROOM)


def room_of(coupon_id):
    return (coupon_id - 1) // COUPONS_PER_ROOM + 1


class Viewer(FastHttpUser):
    """What all users can do. Requests are named by endpoint, or every id would be a line of its own."""

    abstract = True

    def read(self, path, name, headers=None):
        """Any status but 2xx counts as failure."""
        self.client.get(path, name=name, headers=headers or {})

    def grab(self, last_room):
        """A grab that is decided is no failure, granted or not: sold out is a result. A 503 decides nothing."""
        coupon_id = coupon_of(last_room)
        body = {"user_id": any_user(), "coupon_id": coupon_id, "room_id": room_of(coupon_id)}
        if CHECKOUT:  # a grab of a coupon that is held must name its request
            body["request_id"] = str(uuid4())
        with self.rest("POST", "/api/coupon/grab", json=body) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif not response.js or response.js.get("grab_status") not in (0, 1):
                response.failure("200, but not decided")
            else:
                return response.js
        return {}

    def step(self, word, result, **more):
        """Confirms, releases, uses or returns a result, after a moment's thought. True if it was done."""
        sleep(uniform(0.5, 1))
        body = {"user_id": result["user_id"], "result_id": result["result_id"], **more}
        with self.rest("POST", f"/api/coupon/{word}", json=body) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            return response.status_code == 200


class Normal(Viewer):
    weight = 5
    wait_time = between(0.1, 0.5)

    @task(10)
    def grab_any(self):
        self.grab(ROOMS)

    @task(3)
    def my_coupons(self):
        self.read(f"/api/user/{any_user()}/coupons", "/api/user/{id}/coupons")

    @task(1)
    def stock(self):
        self.read(f"/api/coupon/{coupon_of(ROOMS)}/stock", "/api/coupon/{id}/stock")


class HotRoom(Viewer):
    weight = 3
    wait_time = between(0.05, 0.2)

    @task(10)
    def grab_hot(self):
        self.grab(HOT_ROOMS)

    @task(2)
    def room_stats(self):
        self.read(f"/api/room/{randint(1, HOT_ROOMS)}/stats", "/api/room/{id}/stats")


class CrossShard(Viewer):
    weight = 1
    wait_time = between(1, 3)

    @task(5)
    def room_orders(self):
        self.read(f"/api/room/{randint(1, ROOMS)}/orders", "/api/room/{id}/orders")

    @task(3)
    def recent(self):
        self.read("/api/orders/recent?hours=1", "/api/orders/recent")

    @task(2)
    def everything(self):
        self.read("/api/statistics/global", "/api/statistics/global")


class Shopper(Viewer):
    abstract = not CHECKOUT
    weight = 5
    wait_time = between(0.1, 0.5)

    @task(10)
    def check_out(self):
        result = self.grab(ROOMS)
        owned = result.get("state") == "owned"
        if result.get("state") == "held":
            word = choices(["confirm", "release", None], weights=[70, 20, 10])[0]
            owned = word is not None and self.step(word, result) and word == "confirm"
        if owned:
            word = choices(["use", "return", None], weights=[30, 10, 60])[0]
            if word == "use":
                self.step(word, result, order_amount=1000)
            elif word == "return":
                self.step(word, result)

    @task(3)
    def my_coupons(self):
        self.read(f"/api/user/{any_user()}/coupons", "/api/user/{id}/coupons")


class Admin(Viewer):
    weight = 1
    wait_time = between(5, 10)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"} if ADMIN_TOKEN else {}

    @task(1)
    def stats(self):
        self.read("/admin/stats", "/admin/stats", self.headers)

    @task(1)
    def shards(self):
        self.read("/admin/shards/status", "/admin/shards/status", self.headers)
