"""Submits tasks to the demo over HTTP while it runs: pictures, tables, long jobs, failures, schedules."""

import io
import json
import random
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

_PHOTO = Path(__file__).with_name("espresso.jpg")


class Shop:
    """A client of the server at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._dice = random.Random(6)

    def _call(self, method: str, path: str, body: bytes, media_type: str) -> None:
        headers = {"Content-Type": media_type}
        request = urllib.request.Request(self._url + path, body, headers, method=method)
        urllib.request.urlopen(request, timeout=30).close()

    def send(self, task: str, query: str = "", **parameters: Any) -> None:
        """Submit a task with JSON."""
        self._call("POST", f"/tasks/{task}{query}", json.dumps(parameters).encode(), "application/json")

    def upload(self, task: str, parameter: str, name: str, content: bytes, **fields: Any) -> None:
        """Submit a task with a file."""
        edge = uuid.uuid4().hex
        body = io.BytesIO()
        for key, value in fields.items():
            body.write(f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode())
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{parameter}"; filename="{name}"\r\n\r\n'
        body.write(head.encode() + content + f"\r\n--{edge}--\r\n".encode())
        self._call("POST", f"/tasks/{task}", body.getvalue(), f"multipart/form-data; boundary={edge}")

    def schedule(self, name: str, **fields: Any) -> None:
        """Put a schedule."""
        self._call("PUT", f"/schedules/{name}", json.dumps(fields).encode(), "application/json")

    def open(self) -> None:
        """Put the schedules, and submit one task of each sort for visitors."""
        zone = "Europe/Berlin"
        self.schedule("nightly-orders", task="import_orders", input={"shop": "de"}, cron="15 3 * * *", timezone=zone)
        self.schedule("stock-report", task="render_report", input={"quarter": "2026 Q4"}, cron="45 6 * * 1-5")
        self.schedule("stock", task="update_stock", input={"sku": "SKU-88120", "pieces": 14}, every=20)
        self.schedule("crm", task="sync_customer", input={"customer": 551_200}, cron="*/10 * * * *", enabled=False)
        photo = _PHOTO.read_bytes()
        self.upload("thumbnail", "image", "espresso-cup.jpg", photo, width=320, height=320)
        self.upload("resize", "image", "espresso-cup.jpg", photo, width=400, height=400, fit="cover")
        rows = "\n".join(f"{n},{n * 37 % 211},{n * 1.19:.2f}" for n in range(1, 400))
        self.upload("csv_stats", "file", "orders-2026-11.csv", f"order,customer,total\n{rows}\n".encode())
        self.send("charge_invoice", "?tag=black-friday&tag=order:9120447", invoice="INV-20931", amount=189, card="4410")
        self.send("import_orders", shop="de", pages=300)
        self.send("render_report", "?delay=7200", quarter="2026 Q4", region="north")

    def go_on(self) -> None:
        """Submit a few tasks of each sort, forever."""
        while True:
            dice = self._dice
            card = dice.choice(["4417", "4410", "0073"])
            self.send("update_stock", sku=f"SKU-{dice.randrange(70_000, 90_000)}", pieces=dice.randrange(300))
            invoice = f"INV-{dice.randrange(21_000, 22_000)}"
            self.send("charge_invoice", invoice=invoice, amount=dice.randrange(5, 400), card=card)
            self.send("sync_customer", customer=dice.randrange(500_000, 600_000))
            time.sleep(dice.uniform(2, 8))


def run(url: str) -> None:
    """Wait for the server, then submit tasks until the process ends."""
    shop = Shop(url)
    while True:
        try:
            urllib.request.urlopen(f"{url}/health/live", timeout=5).close()
            shop.open()
            shop.go_on()
        except (urllib.error.URLError, OSError):
            time.sleep(1)
