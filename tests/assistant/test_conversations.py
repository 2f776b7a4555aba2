"""Conversations as people have them: narrowing, ranks among what was shown, a change of mind.

Each is a list of messages (`Y` confirms, `N` declines), the last call that its last message leads to, and words of the
last answer.
"""

import pytest

from emulator.shop_model import ranks
from emulator.shop_model.words import read
from tests.assistant.shopping import Shopper, smoke_world

SHOES = "show me running shoes"
ESTRAND, DRILL, CORDED, HEADPHONES = "p000017", "p900001", "p900002", "p000157"
NOISE = "Do you have any noise cancelling headphones under $150 with good reviews?"

CONVERSATIONS = [
    (
        "reviews as a wish are a search",
        [NOISE],
        ("catalogue_search", {"query": "noise cancelling headphones", "max_price": 150.0}),
        "Options",
    ),
    (
        "the cheapest of those shown",
        [NOISE, "buy me two of the cheapest one when it drops below 60"],
        ("auto_buy", {"product_id": ESTRAND, "target_price": 60.0, "quantity": 2}),
        "confirm",
    ),
    ("which lasts longest", [NOISE, "which of them lasts longest?"], None, "its battery is 12 h"),
    ("which is lighter", ["compare two tents", "which of these is lighter?"], None, "its weight is light"),
    (
        "the lighter one",
        ["compare two tents", "add the lighter one to my cart"],
        ("add_to_cart", {"product_id": "p000197"}),
        "confirm",
    ),
    (
        "a place, then a place",
        [SHOES, "the second one, is it in stock?", "what about the first"],
        ("availability", {"product_id": "p000068"}),
        "in stock",
    ),
    (
        "this one against a place",
        [SHOES, "is the second one in stock?", "what about the first", "how does it compare to the third"],
        ("product_details", {"product_id": "p000348"}),
        "better rated",
    ),
    (
        "cheaper ones",
        [SHOES, "any cheaper ones?"],
        ("catalogue_search", {"query": "running shoes", "max_price": 64.72}),
        "running shoes",
    ),
    (
        "narrowed twice",
        [SHOES, "only between 50 and 120", "in black please"],
        ("catalogue_search", {"query": "running shoes black", "max_price": 120.0}),
        "no running shoes black. Closest",
    ),
    (
        "a fact before its verb",
        ["I'm allergic to peanuts, please remember that"],
        ("remember", {"fact": "I'm allergic to peanuts"}),
        "allergic to peanuts",
    ),
    (
        "a fact in a sentence before",
        ["I have two cats. Remember this please."],
        ("remember", {"fact": "I have two cats"}),
        "two cats",
    ),
    (
        "a fact in the message before",
        ["my son is called Ben", "remember that"],
        ("remember", {"fact": "my son is called Ben"}),
        "Ben",
    ),
    (
        "forget by another form of the word",
        ["I collect vinyl records, remember that", "forget my record collection"],
        ("forget", {"fact": "I collect vinyl records"}),
        "confirm",
    ),
    (
        "two goods for the cart",
        ["add a tent and a sleeping bag to my cart"],
        ("catalogue_search", {"query": "tent"}),
        "Which tent",
    ),
    (
        "three goods to look for",
        ["I need socks, a water bottle and a yoga mat"],
        ("catalogue_search", {"query": "yoga mat"}),
        "Options for yoga mat",
    ),
    (
        "nothing is taken out of the cart",
        ["put the corded drill in my basket", "Y", "take it out of the cart again"],
        None,
        "cart page",
    ),
    (
        "a cart by its titles",
        ["put the corded drill in my basket", "Y", "what's in my basket?"],
        None,
        "Greystone Essential Hammer Drill",
    ),
    (
        "an alert that is there",
        ["tell me when the corded drill is under 50 dollars", "Y", "cancel that alert"],
        None,
        "50.00 USD, until",
    ),
    ("alerts are no orders", ["which alerts do I have?"], None, "in your account"),
    ("how something is done", ["how do I descale a coffee machine"], ("web_search", {}), "https://"),
    ("whether something is safe", ["is it safe to use an air fryer every day"], ("web_search", {}), "https://"),
    (
        "a difference of what is not sold",
        ["what's the difference between a duvet and a comforter?"],
        ("web_search", {}),
        "I do not know",
    ),
    (
        "a gift by age and interest",
        ["gift for a 7 year old who likes dinosaurs, max 30 bucks"],
        ("catalogue_search", {"query": "craft kit", "max_price": 30.0}),
        "Ideas for a child, by what they like",
    ),
    (
        "each interest is served",
        ["present for my grandmother who loves gardening and tea, up to $40"],
        ("catalogue_search", {"query": "birdseed"}),
        "Green Tea",
    ),
    (
        "a gift that is not something",
        ["Find me a gift for my boss that is not coffee"],
        ("catalogue_search", {"query": "notebook"}),
        "your boss",
    ),
    (
        "like this one",
        [(DRILL, "something like this but cordless")],
        ("catalogue_search", {"query": "cordless drill"}),
        "Drill",
    ),
    (
        "cheaper than this one",
        [(DRILL, "anything cheaper?")],
        ("catalogue_search", {"query": "drill", "max_price": 89.99}),
        "64.50 USD",
    ),
    (
        "complaints",
        [(DRILL, "what do people complain about?")],
        ("product_reviews", {"product_id": DRILL}),
        "The case is flimsy",
    ),
    ("pink is no ping", ["I'd like a pink dress"], ("catalogue_search", {"query": "pink dress"}), "Dress"),
    ("gray is no buy", ["do you have gray boots"], ("catalogue_search", {"query": "grey boots"}), "Boots"),
    (
        "what is not sold is said",
        ["need a bluetooth speaker"],
        ("catalogue_search", {"query": "bluetooth speaker"}),
        "I found no bluetooth speaker",
    ),
    ("a policy is not guessed", ["do you price match amazon"], None, "I will not guess"),
    ("a refund is not guessed", ["where's my refund?"], None, "I will not guess"),
    (
        "an alert in place of a purchase",
        [(HEADPHONES, "buy it at half price"), "N", (HEADPHONES, "alert me at $60 instead")],
        ("price_alert", {"product_id": HEADPHONES, "target_price": 60.0}),
        "confirm",
    ),
    (
        "another price beside a purchase that stands",
        ["buy the Estrand headphones as soon as they cost 70 or less", "Y", "actually make that 65"],
        ("auto_buy", {"product_id": ESTRAND, "target_price": 65.0}),
        "at 70.00 USD stands beside it",
    ),
    (
        "a change of mind",
        ["buy the Estrand headphones as soon as they cost 70 or less", "never mind"],
        None,
        "nothing was done",
    ),
    (
        "what we used to buy",
        ["We used to buy a hazelnut creamer, can you get it again?"],
        ("reorder", {"query": "hazelnut creamer"}),
        "Creamer",
    ),
    (
        "a reason behind a comma",
        ["return the creamer from order o0000802, it was spoiled"],
        ("start_return", {"reason": "it was spoiled"}),
        "confirm",
    ),
    (
        "places in Spanish",
        ["quiero comprar dos tiendas de campaña cuando bajen un 20%", "la primera"],
        ("auto_buy", {"product_id": "p000057", "discount_ratio": 0.2, "quantity": 2}),
        "confirma",
    ),
    ("how something is done, in Spanish", ["¿cómo se limpia una cafetera?"], ("web_search", {}), "De la web"),
    (
        "an amount off today's price",
        [(DRILL, "buy it when it's 15 dollars cheaper")],
        ("auto_buy", {"product_id": DRILL, "target_price": 74.99}),
        "confirm",
    ),
    (
        "an amount that the price drops by",
        ["when the price of the corded drill drops by ten dollars, order it"],
        ("auto_buy", {"product_id": CORDED, "target_price": 54.5}),
        "confirm",
    ),
    (
        "a fact that is not to be kept",
        ["remember that I like jazz", "don't remember that"],
        ("forget", {"fact": "I like jazz"}),
        "confirm",
    ),
    ("nothing to let go", ["don't remember that"], None, "nothing was done"),
    ("how many to take", [(DRILL, "I'll take 2")], ("add_to_cart", {"product_id": DRILL, "quantity": 2}), "confirm"),
    ("how often is no purchase", ["how often do I buy coffee?"], None, "You ordered coffee once"),
    (
        "an eye kept on a price",
        ["keep an eye on air fryers and tell me when one is below 60", "the second"],
        ("price_alert", {"product_id": "p000141", "target_price": 60.0}),
        "confirm",
    ),
    (
        "two asks about one product",
        ["Is the Lumora tent waterproof and how much does it weigh?"],
        ("product_details", {"product_id": "p000057"}),
        "The weight of Lumora",
    ),
    (
        "the cheapest of a kind",
        ["what's the cheapest drill you sell?"],
        ("catalogue_search", {"query": "drill"}),
        "1. Greystone Essential Hammer Drill, corded, 850 W: 64.50 USD",
    ),
    (
        "a brand beside this one",
        ["is there a cheaper alternative to the Estrand headphones?", "compare it with the Fennick"],
        ("product_details", {"product_id": "p000297"}),
        "is the better rated",
    ),
    (
        "the better of two compared",
        [
            "is there a cheaper alternative to the Estrand headphones?",
            "compare it with the Fennick",
            "ok buy the better one if it falls under 100",
        ],
        ("auto_buy", {"product_id": "p000297", "target_price": 100.0}),
        "confirm",
    ),
    (
        "an alert and a purchase are two",
        ["notify me when the corded drill is under 50, and buy the Estrand headphones at 60"],
        ("price_alert", {"product_id": CORDED, "target_price": 50.0}),
        "One thing to confirm at a time",
    ),
    (
        "a day at the beach",
        ["I need everything for a beach weekend, under 200 dollars in total"],
        ("catalogue_search", {"query": "tote bag", "max_price": 200.0}),
        "sunscreen",
    ),
    ("memory in Spanish", ["qué sabes de mí"], None, "Recuerdo"),
    (
        "a noun among a story",
        ["i was wondering whether you could show me some standing desks"],
        ("catalogue_search", {"query": "standing desks"}),
        "Options for standing desks",
    ),
    ("a rank alone", ["blender", "cheapest"], ("product_details", {"product_id": "p000004"}), "24.97 USD"),
    ("a dimension alone", ["drill watts?"], ("product_details", {"product_id": DRILL}), "650 W"),
    ("a figure alone", [(DRILL, "alert 75")], ("price_alert", {"target_price": 75.0}), "confirm"),
    ("a sign for under", ["yoga mat <30"], ("catalogue_search", {"query": "yoga mat", "max_price": 30.0}), "nothing"),
    (
        "a span of prices",
        ["headphones black 100-200"],
        ("catalogue_search", {"query": "headphones black", "max_price": 200.0}),
        "no headphones black. Closest",
    ),
    (
        "one sum for two",
        ["two throw pillows under fifty bucks for both"],
        ("catalogue_search", {"max_price": 25.0}),
        "Throw Pillow",
    ),
    (
        "another budget",
        ["show me air fryers", "I can't go over 90", "ok maybe 110"],
        ("catalogue_search", {"query": "air fryers", "max_price": 110.0}),
        "Air Fryer",
    ),
    (
        "a sum for all that a rule buys",
        [(DRILL, "order two if it drops to 70, I don't want to spend more than 130 altogether")],
        ("auto_buy", {"quantity": 2, "target_price": 65.0}),
        "at most 130.00 USD",
    ),
    (
        "an end that no rule keeps",
        [(DRILL, "buy this when it's under 80, but only until friday")],
        ("auto_buy", {"target_price": 80.0}),
        "I cannot give it another end",
    ),
    (
        "a purchase again and again",
        [(DRILL, "keep buying this every month while it's under 80")],
        ("auto_buy", {"target_price": 80.0}),
        "It buys once",
    ),
    (
        "another thing in one breath",
        ["get me the corded drill, no wait, the cordless one"],
        ("add_to_cart", {"product_id": DRILL}),
        "confirm",
    ),
    (
        "another number in one breath",
        [(DRILL, "add 3 of these, sorry, 2")],
        ("add_to_cart", {"quantity": 2}),
        "confirm",
    ),
    (
        "another price in one breath",
        [(DRILL, "tell me when it's at 70, hmm make that 65")],
        ("price_alert", {"target_price": 65.0}),
        "confirm",
    ),
    (
        "another act in one breath",
        [(DRILL, "dont buy anything just tell me if it gets below $75")],
        ("price_alert", {"target_price": 75.0}),
        "confirm",
    ),
    (
        "an alert after all",
        [(DRILL, "buy it when it's below 80"), "N", (DRILL, "hold on, don't buy it, just alert me")],
        ("price_alert", {"target_price": 80.0}),
        "confirm",
    ),
    ("what is not to be added", [(DRILL, "do not add this to my cart")], None, "nothing was done"),
    ("six are half a dozen", [(CORDED, "put half a dozen in my cart")], ("add_to_cart", {"quantity": 6}), "confirm"),
    (
        "what was fetched beforehand was not shown",
        ["show me desk lamps", "and the one from before?", "add both"],
        None,
        "Which",
    ),
    (
        "a yes is no fact",
        ["I'm vegan now", "yes please remember"],
        ("remember", {"fact": "I'm vegan now"}),
        "Remember: I'm vegan now",
    ),
    (
        "a fact for later",
        ["for future reference, i take a size 10 shoe"],
        ("remember", {"fact": "i take a size 10 shoe"}),
        "size 10",
    ),
    (
        "notes are memory",
        ["remember i hate cilantro", "what don't I like?", "drop that from your notes"],
        ("forget", {"fact": "i hate cilantro"}),
        "confirm",
    ),
    ("a person is not sold", ["are you a robot?"], None, "computer program"),
    ("a sentence that is no search", ["write me a haiku about autumn"], None, "I can help with"),
    ("a language that is not read", ["Wo ist meine Bestellung?"], None, "English and Spanish"),
    ("payment is policy", ["can i pay in instalments"], None, "I will not guess"),
    ("time for a return is policy", ["how many days do I have to send something back?"], None, "I will not guess"),
    ("a complaint is a return", ["the creamer was off when it came"], ("start_return", {}), "confirm"),
    (
        "off an order is not out of a cart",
        ["take the creamer off my order o0000802"],
        ("order_change", {"order_id": "o0000802"}),
        "cannot be changed",
    ),
    (
        "a gift for a name",
        ["remember my wife is Dana and she loves yoga", "gift for dana?"],
        ("catalogue_search", {}),
        "Yoga Mat",
    ),
    (
        "a gift for him",
        ["remember my brother plays the guitar", "what could i get him for christmas"],
        ("catalogue_search", {}),
        "guitar",
    ),
    (
        "places side by side",
        ["show me tents", "put the first and third side by side"],
        ("product_details", {}),
        "- price:",
    ),
    (
        "one of the same kind",
        ["cordless or corded drill, which one makes more sense"],
        ("product_details", {}),
        "Corvane Pro Drill",
    ),
    (
        "a story that names goods",
        ["So, funny story, my dog chewed up my favourite throw pillow. Help me out?"],
        ("catalogue_search", {}),
        "Throw Pillow",
    ),
    (
        "a story that names an occasion",
        ["we've got a newborn and nobody sleeps, is there anything you'd suggest?"],
        ("catalogue_search", {}),
        "baby monitor",
    ),
    (
        "a fact behind a verb that was misspelt",
        ["rember my sons name is tim"],
        ("remember", {"fact": "my sons name is tim"}),
        "tim",
    ),
    (
        "the top one",
        ["face cream for sensitive skin", "would you mind popping the top one in my basket?"],
        ("add_to_cart", {"quantity": 1}),
        "Marlow Select Face Cream",
    ),
    ("one or the other", ["weighted blanket or air mattress for a guest room?"], ("product_details", {}), "- price:"),
    (
        "the first two",
        ["show me dash cams", "compare the first two", "buy the cheaper of them when it's 20 less"],
        ("auto_buy", {}),
        "Dash Cam",
    ),
    (
        "a rank before its question",
        ["what massage guns do you have", "the top rated, how long is delivery"],
        ("availability", {}),
        "deliver",
    ),
    (
        "sooner than this one",
        [(CORDED, "too slow, what do you have that comes faster")],
        ("catalogue_search", {"query": "drill"}),
        "Corvane Pro Drill",
    ),
    ("out of it, the shop", [(DRILL, "are you out of this")], ("availability", {"product_id": DRILL}), "in stock"),
    ("more of what is bought", ["i need more creamer and pie crust"], ("reorder", {}), "Creamer"),
    (
        "the order before, but for one thing",
        ["repeat my previous purchase, just not the crust"],
        ("reorder", {}),
        "Creamer",
    ),
    ("an order that is not to come", ["please don't send my order anymore"], None, "under way"),
    (
        "a place and a number",
        ["recommend a shampoo", "third please, two bottles"],
        ("add_to_cart", {"quantity": 2}),
        "confirm",
    ),
    (
        "put into the cart in Spanish",
        [(DRILL, "ponme dos en la cesta")],
        ("add_to_cart", {"product_id": DRILL, "quantity": 2}),
        "confirma",
    ),
    (
        "a form of a known word is no typing error",
        ["slow cooker", "with good reviews"],
        ("catalogue_search", {"query": "slow cooker"}),
        "Slow Cooker",
    ),
    (
        "several that arrived broken",
        ["one of the bookshelves arrived cracked"],
        ("start_return", {"order_id": "o0000002"}),
        "confirm",
    ),
    ("a cheaper one than this", [(DRILL, "cheaper one")], ("catalogue_search", {"query": "drill"}), "64.50 USD"),
    (
        "a supposition about an order",
        [(CORDED, "when would it get to me if i ordered right now")],
        ("availability", {"product_id": CORDED}),
        "3 days",
    ),
    ("what it cost before", [(DRILL, "did it cost less before")], ("price_history", {"product_id": DRILL}), "Lowest"),
    (
        "a number among those shown",
        ["suggest some coffee beans", "is number three organic?", "i'll take it"],
        ("add_to_cart", {}),
        "confirm",
    ),
    (
        "a note about oneself",
        ["please note I only wear cotton"],
        ("remember", {"fact": "I only wear cotton"}),
        "cotton",
    ),
    ("insurance is policy", ["are my purchases insured"], None, "I will not guess"),
]


WITHOUT = [
    ("running shoes but not black", "Running Shoes", "black"),
    ("a tent that isn't blue", "Tent", ", blue"),
    ("headphones, anything but Fennick", "Headphones", "Fennick"),
    ("sneakers that aren't white or black", "Sneakers", "black"),
    ("stroller 2 day delivery", "Stroller", "4 day delivery"),
    ("I NEED A NEW OFFICE CHAIR UNDER 200", "Office Chair", "Notebook"),
]


@pytest.mark.parametrize(("message", "shown", "absent"), WITHOUT)
def test_what_is_not_meant_is_not_shown(shopper, message, shown, absent):
    """A colour, a maker, a delivery too late, and goods of another kind."""
    shopper.new_conversation()
    answer = shopper.say(message).text
    assert shown in answer
    assert absent not in answer


@pytest.fixture(scope="module")
def shopper(tmp_path_factory):
    shopper = Shopper(smoke_world(tmp_path_factory.mktemp("world")), tmp_path_factory.mktemp("store"))
    yield shopper
    shopper.close()


@pytest.mark.parametrize(
    ("messages", "call", "words"), [case[1:] for case in CONVERSATIONS], ids=[case[0] for case in CONVERSATIONS]
)
def test_a_conversation_leads_to_its_call_and_answer(shopper, messages, call, words):
    """The call's arguments are those named, whatever others it has; where none is named, nothing is written."""
    shopper.new_conversation()
    for message in messages:
        if message in ("Y", "N"):
            answer = shopper.confirm("Yes, please." if message == "Y" else "no", message == "Y")
        else:
            page, text = message if isinstance(message, tuple) else (None, message)
            answer = shopper.say(text, page=page)
    assert words in answer.text
    if call is None:
        assert shopper.pending is None
        return
    tool, arguments = call
    name, sent = shopper.tools[-1] if shopper.tools else (None, {})
    assert name == tool
    assert {key: sent.get(key) for key in arguments} == arguments


@pytest.mark.parametrize(
    "word", ["pink", "gray", "speaker", "table", "wood", "cats", "wifi", "pin", "salt", "snow", "won"]
)
def test_a_common_word_is_no_typing_error_of_another(word):
    """Each lies one letter from a word of the shop's: ping, buy, sneakers, tablet, wool, coats, wife, sale, show."""
    assert read(f"a {word} thing").text.split()[1] in (word, "grey")


TENT = {"title": "Lumora Camping Tent, blue, four season, light", "price": 90.0, "delivery_days": 3}
OTHER = {
    "title": "Kipling Camping Tent, slate, two season, heavy duty",
    "price": 80.0,
    "attributes": {"weight": "heavy duty"},
}


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("the cheapest", OTHER),
        ("the priciest", TENT),
        ("which is lighter", TENT),
        ("which weighs more", OTHER),
        ("the warmest", TENT),
        ("which has the longest battery", None),
        ("which arrives first", None),
    ],
)
def test_a_rank_is_taken_from_what_pages_state(words, first):
    """And is nobody's where fewer than two of them state it."""
    assert ranks.named(words).first([TENT, OTHER]) is first


def test_a_reorder_leaves_out_what_is_excepted(shopper):
    """The newest order holds a pie crust, canned pumpkin and creamer."""
    shopper.new_conversation()
    answer = shopper.say("reorder everything from my last order except the pie crust")
    assert "Creamer" in answer.text
    assert "Pie Crust" not in answer.text
