"""A tiny shop for tests, in the form that scenarios/ writes: every product and order in it is known by name."""

import json
import sqlite3
from datetime import date, timedelta
from pathlib import Path

NOW = "2026-07-08T12:00:00+00:00"
TODAY = date(2026, 7, 8)

_TABLES = """
CREATE TABLE products (product_id TEXT PRIMARY KEY, title TEXT, brand TEXT, category TEXT, description TEXT,
    attributes TEXT, price REAL, currency TEXT, rating REAL, review_count INT, in_stock INT, delivery_days INT);
CREATE TABLE price_history (product_id TEXT, day TEXT, price REAL);
CREATE TABLE reviews (product_id TEXT, review_id TEXT, stars INT, title TEXT, body TEXT, author TEXT);
CREATE TABLE customers (customer_id TEXT PRIMARY KEY, name TEXT, locale TEXT, zip_code TEXT, default_payment TEXT,
    default_address TEXT, segment TEXT);
CREATE TABLE orders (order_id TEXT PRIMARY KEY, customer_id TEXT, ordered_at TEXT, status TEXT, total REAL);
CREATE TABLE order_items (order_id TEXT, product_id TEXT, quantity INT, price REAL);
CREATE TABLE browsing (customer_id TEXT, product_id TEXT, viewed_at TEXT);
CREATE TABLE documents (doc_id TEXT PRIMARY KEY, url TEXT, title TEXT, body TEXT);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
"""

# id, title, category, price, in stock
PRODUCTS = [
    ("p000001", "Trail Hiking Boots", "hiking boots", 120.0, 5),
    ("p000002", "Carbon Trekking Poles", "trekking poles", 60.0, 0),
    ("p000003", "Aluminium Trekking Poles", "trekking poles", 45.0, 9),
    ("p000004", "Pie Crust Mix", "baking", 4.0, 50),
    ("p000005", "Canned Pumpkin", "baking", 3.0, 50),
    ("p000006", "Ceramic Pie Dish", "bakeware", 25.0, 12),
    ("p000007", "Espresso Machine", "coffee machines", 300.0, 3),
    ("p000008", "Dog Bed", "pet supplies", 40.0, 7),
    ("p000009", "Wool Hiking Socks", "socks", 15.0, 30),
    ("p000010", "Rain Jacket", "jackets", 90.0, 8),
]
ORDERS = [
    ("o000001", "c000001", "2026-07-01T10:00:00+00:00", "delivered", [("p000004", 2, 4.0), ("p000005", 3, 3.0)]),
    ("o000002", "c000001", "2026-07-06T10:00:00+00:00", "shipped", [("p000009", 1, 15.0)]),
    ("o000003", "c000002", "2026-07-05T10:00:00+00:00", "processing", [("p000007", 1, 300.0)]),
]
BROWSING = [
    ("c000001", "p000001", "2026-07-07T18:00:00+00:00"),
    ("c000001", "p000002", "2026-07-07T18:05:00+00:00"),
    ("c000001", "p000010", "2026-06-20T09:00:00+00:00"),
]
DOCUMENTS = [
    ("d1", "https://guides.example/hiking-vermont", "Hiking in Vermont in autumn", "Expect rain and bring layers."),
    ("d2", "https://news.example/pressure-cooker-recall", "Pressure cooker recall", "A maker recalls its lids."),
]


def write_catalogue(path: Path) -> Path:
    """Write the shop."""
    db = sqlite3.connect(path)
    db.executescript(_TABLES)
    for product_id, title, category, price, stock in PRODUCTS:
        row = (product_id, title, "Acme", category, f"About {title}.", json.dumps({"colour": "green"}))
        db.execute("INSERT INTO products VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", (*row, price, "USD", 4.5, 2, stock, 2))
        # Ninety days: 20% cheaper from 20 to 11 days ago, the price of today otherwise.
        days = [(TODAY - timedelta(days=ago), 0.8 if 11 <= ago <= 20 else 1.0) for ago in range(90)]
        db.executemany(
            "INSERT INTO price_history VALUES (?,?,?)",
            [(product_id, day.isoformat(), round(price * ratio, 2)) for day, ratio in days],
        )
        db.execute("INSERT INTO reviews VALUES (?,?,?,?,?,?)", (product_id, "r1", 5, "Good", "Works well.", "Ann"))
    for customer in ("c000001", "c000002", "c000003"):
        db.execute(
            "INSERT INTO customers VALUES (?,?,?,?,?,?,?)",
            (customer, f"Name {customer}", "en_US", "05401", "card-1", "1 Main St", "regular"),
        )
    for order_id, customer, at, status, items in ORDERS:
        total = sum(quantity * price for _, quantity, price in items)
        db.execute("INSERT INTO orders VALUES (?,?,?,?,?)", (order_id, customer, at, status, total))
        db.executemany("INSERT INTO order_items VALUES (?,?,?,?)", [(order_id, *item) for item in items])
    db.executemany("INSERT INTO browsing VALUES (?,?,?)", BROWSING)
    db.executemany("INSERT INTO documents VALUES (?,?,?,?)", DOCUMENTS)
    db.execute("INSERT INTO meta VALUES ('now', ?)", (NOW,))
    db.commit()
    db.close()
    return path
