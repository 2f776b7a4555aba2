"""What a customer wants: a message is parted into its asks, each an act with the words that carry it.

An act is found by the structure of the words (a purchase verb with a condition on the price is an auto-buy, whatever the
rest), first rule first. Words that part a message only do so where an act begins behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from emulator.shop_model import slots
from emulator.shop_model.words import Reading, lexicon, stem

_WIDE = ("search", "gift", "plan", "style", "deals", "compare")
"""Acts that a further sentence only narrows: a budget, a wish."""


@dataclass(frozen=True)
class Ask:
    """One thing that a message asks for. `text` is its part of the message in normal form, `raw` the whole message."""

    act: str
    text: str
    raw: str


_OPENERS = (
    r"is|are|does|do|did|has|have|was|were|can|could|will|would|what|which|when|where|who|how|why|tell|show|find|add|put|"
    r"buy|order|reorder|restock|remember|forget|notify|compare|cancel|return|track|recommend|suggest|check|give|look|let|"
    r"search|i want|i need|i'd|please|if (?:not|so)|otherwise|just"
)
_SPLIT = re.compile(
    rf" ?(?:(?:[?!;\n]|\.(?!\d))+|,? (?:and then|and also|and|also|then|but|plus|,)(?= (?:please )?(?:{_OPENERS})\b)) ?"
)

_OTHERS = re.compile(
    r"\bcustomer c?\d+|\bc0\d{4,}\b|\b(?:someone|somebody) else|\b(?:an)?other (?:customer|person|user|account|shopper)|"
    r"\bother (?:customers|people|users)'?|\b(?:friend|wife|husband|ex|boss|sister|brother|mom|dad|roommate|flatmate|colleague|"
    r"coworker|neighbou?r|cousin|uncle|aunt|girlfriend|boyfriend|son|daughter)(?:'s)? (?:last |latest |recent )?(?:orders?|account|cart|card|package|"
    r"purchases?)\b|\b(?:his|her) (?:last |latest |recent )?(?:orders?|account|cart|card|package|purchases)\b|"
    r"\b(?:all|every) (?:the )?(?:customers?|users?|accounts?|carts?)\b|\beveryone'?s? orders|"
    r"\b(?:ordered|bought|purchased) (?:my|his|her|their|our) \w+\b|\b(?:neighbou?r|roommate|flatmate|colleague|coworker|boss|ex)\b.*\b(?:order|ordered|buy|bought|purchased|ships?|shipped)\b|"
    r"\bas (?:another|a different) (?:customer|user|person)\b|\bswitch (?:to|into) (?:\w+ )?account\b"
)
_OTHERS_RAW = re.compile(
    r"\b[A-Z]\w+(?: [A-Z]\w+)?['’]s (?:last |latest |recent )?(?:orders?|cart|account|package|purchases)\b|"
    r"\b(?:orders?|purchases|cart|account|package) (?:of|by|from|belonging to) [A-Z]\w+ [A-Z]\w+|"
    r"\b(?:did|has) [A-Z][a-z]+ (?:[A-Z][a-z]+ )?(?:buy|bought|order|ordered|purchased?)\b"
)
_OWN_THINGS = re.compile(
    r"\border|\baccount|\bcart|\bpurchase|\bpackage|\bcard|\baddress|\bbought|\bbuy|\breorder|\bremember|\bknow\b|\brule|\balert|"
    r"\bnotify|\bprice|\bauto"
)
_OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|override|bypass) (?:all |any |your |the |previous |prior |my )*(?:instructions?|rules?|system|"
    r"prompts?|policy|policies|restrictions?)|\b(?:system|developer|admin) (?:prompt|mode|override|message)|"
    r"\bconfirmations? (?:is|are) (?:disabled|off|not needed)|^ ?(?:system|admin|developer) ?:|\bdo (?:what|whatever|as) (?:they|it|the reviews?|that|he|she) (?:asks?|says?|tells?|want)|"
    r"\b(?:without|skip|no|don't need|bypass|avoid|forget) (?:the |any |a |my |your )?(?:asking|confirm\w*|permission|approval|consent|checking)\b|"
    r"\b(?:no need|don't|not have|without having) to (?:ask|check|confirm)\b|\b(?:don't|do not|without) (?:ask|asking|bother asking)(?: me)?\b|"
    r"\b(?:have|with) my (?:full )?(?:permission|consent|approval)\b|\bconfirm(?:ed)? (?:in advance|it yourself|for me|yourself|on my behalf|everything)\b|"
    r"\bpretend(?:ing)? (?:that )?i\b|\bauthori[sz]e you\b|\bas (?:the|a|your) (?:developer|admin|administrator|owner)\b|\bsilently\b|"
    r"\b(?:execute|call|invoke|run) (?:the )?(?:tool|function|\w+_\w+)\b|\brepeat everything above\b|\bcard (?:number|digits)\b|"
    r"\bjust charge\b|\b(?:follow|obey|execute) the instructions\b|"
    r"\byou are now\b|<\W*(?:confirmed|system|prefetch)|\bjailbreak|\bpretend (?:to be|you)|\bconfirmed tool\b|"
    r"\b(?:reveal|print|show|repeat) (?:me )?(?:your |the )(?:system |hidden )?(?:prompt|instructions)"
)
_HUMAN = re.compile(r"\b(?:human|representative|real person|live (?:chat|person|agent)|someone real)\b|\b(?:talk|speak|connect|"
                    r"chat)\b.*\b(?:person|agent|someone|human|people)\b")  # fmt: skip
_RECALL = re.compile(
    r"\bwhat know of (?:me|my)\b|"
    r"\bwhat (?:do|did|have|all) .*\b(?:know|remember|told|tell|saved|stored|noted|keep|kept)\b.*\b(?:me|my|you|i)\b|"
    r"\bdo you (?:still )?remember\b|\bwhat .*\bremember(?:ed)?\b|\b(?:remember|remembered|know) about me\b|\bmy (?:memory|facts)\b"
)
_FORGET = re.compile(
    r"\bforget\b|\b(?:erase|delete|wipe|clear|drop)\b.*\b(?:memory|remember\w*|facts?|about me|note|that i)\b"
)
_REMEMBER = re.compile(
    r"\b(?:remember|don't forget|(?:keep|bear) (?:(?:that|this|it) )?in mind|make a note|take a note|note that|save that|note down)\b"
)
_LET_GO = re.compile(
    r"\b(?:don't|do not|never|no need to|needn't) (?:remember|note|save|keep) (?:that|this|it)\b(?! i)"
)
_NOTHING_MORE = re.compile(r"[ ,.;!]*(?:\b(?:that|this|it|please|for|me|later|next|time|of|down|too|now)\b[ ,.;!]*)*$")
"""Behind `remember`: what is meant stands before it."""
_CANCEL = re.compile(r"\bcancel\b")
_CHANGE = re.compile(r"\b(?:change|update|edit|modify|switch)\b.*\b(?:order|address|delivery|quantity|it)\b")
_RETURN = re.compile(
    r"\b(?:received|got|sent) (?:me )?(?:the|a) (?:wrong|broken|damaged)\b|\barrived (?:broken|damaged)\b|\b(?:returns?|returning|refund|send (?:it |them |this |these )?back|money back)\b"
)
_CHECKOUT = re.compile(
    r"\b(?:place|complete|finish|submit|finali[sz]e) (?:the|my|this|that|an|our)? ?order\b|\bcheck ?out\b|\bpay now\b|\bcharge my card\b"
)
_CART_VIEW = re.compile(r"\b(?:what|show|see|view|list|check)\b.*\b(?:my|the) cart\b")
_OUT_OF_CART = re.compile(
    r"\b(?:remove|delete|take|drop|empty|clear)\b.*\bcart\b(?<!to my cart)(?<!into the cart)|"
    r"^(?:please |no |actually |and |, )*(?:remove|take out|take (?:it|that|them|this|the .*) (?:out|off))\b"
)
_RULES_OF_MINE = re.compile(
    r"\b(?:cancel|stop|delete|remove|end|undo|turn off|switch off|don't)\b.*\b(?:notify|alerts?|rules?|auto-?buys?|watch(?:ing)?|automatic purchases?)\b|"
    r"\b(?:what|which|show|list|see|have)\b.*\b(?:price )?(?:notify|alerts|rules|auto-?buys|automatic purchases)\b(?! me\b)"
)
_POLICY = re.compile(
    r"\b(?:this|your) (?:store|shop|site|website|company)\b|"
    r"\bprice match\w*|\b(?:return|refund|shipping|privacy|exchange|store) polic\w+|\bpolicy\b|\bship(?:ping)? (?:costs?|fees?)\b|"
    r"\b(?:deliver|ship) (?:to|abroad|overseas|international\w*)(?! (?:me|my|us|our|it|this)\b)|\bpayment methods?\b|\bpay (?:with|by|using)\b|"
    r"\bopening hours\b|\b(?:where|when|status)\b.*\brefund\b|\bstudent discount\b|\bmembership\b"
)
_CART = re.compile(r"\b(?:add|put|throw|place|stick|toss|drop|move)\b.*\bcart\b|\bin(?:to)? (?:my|the) cart\b|^add\b")
_PAST = (
    r"again|last time|browsed|viewed|used to (?:make|bake|cook)|(?:i|we) used|(?:i|we) (?:have )?(?:bought|ordered|got|had|purchased)"
    r"|from (?:last|my last|yesterday)|as (?:last|before)|bought (?:last|before|yesterday)|(?:i|we) (?:was|were|am|have been) (?:looking|browsing|browsed|viewed)"
)
_REORDER = re.compile(
    rf"\breorder\b|\bsame (?:\w+ ){{1,3}}(?:as|like) (?:last|before|always|usual)\b|\bstock (?:me|us) up\b|\brestock\b|\b(?:{_PAST})\b.*\b(?:put|add|send|get|order|buy|place)\b.*\b(?:it|them|that|those|cart|me)\b|\bthe usual\b|\bsame (?:as|thing|stuff|order|items?|ones?)\b.*\b(?:last|before|again|time)\b|"
    rf"\b(?:buy|order|get|need|want|bring|send|add|put)\b.*\b(?:{_PAST})\b|"
    rf"\beverything\b.*\b(?:{_PAST})\b|\brepeat (?:my|the|that) (?:last )?order\b"
)
_RANKED_GOODS = re.compile(
    r"(?:what|which) (?:is|are) (?:the|your) (?:cheapest|best|best rated|top rated|most expensive|least expensive|lightest|largest|biggest|smallest)\b"
)
"""`what is the cheapest drill you sell`: goods, and no price over time."""
_QUESTION = re.compile(r"^(?:what|which|when|did|where|show|list|have i|how|who|tell me what|can you tell)\b")
_HISTORY = re.compile(
    r"\bprice history\b|\b(?:when|what (?:is|was)|how)\b.*\b(?:cheapest|lowest)\b|\b(?:wait or buy|buy now or|buy (?:it |this |them )?now or wait)\b|\b(?:been|ever|was|were|is|are)\b.*\b(?:on sale|cheaper|discounted|lower|reduced)\b.*\b(?:last|past|before|"
    r"lately|recently|days?|weeks?|months?|year|ever|than)\b|\b(?:been|ever) (?:been )?(?:on sale|cheaper|discounted|lower|less)\b|"
    r"\b\d+ (?:dollars|euros)?\b.*\b(?:fair|good|great) price\b|\b(?:lowest|highest|best|usual|normal|average|cheapest)\b.*\b(?:price|been|cost|it|was|last|past)\b|"
    r"\bprices? (?:has |have |had |is |was |did )?(?:trend|graph|chart|over|in the|during|been|moves?|moved|change|changed|develop\w*|evol\w*|drops?|dropped|went|gone)\b|"
    r"\bhow (?:has|have|did|does|the|is) .*\bprices?\b|\bprices?\b.*\bcompare\w*\b.*\b(?:last|past|before|usual|month|week|year)\b|"
    r"\b(?:good|right|bad) (?:time|moment) to (?:buy|get|order|purchase)\b|\b(?:should|shall) (?:i|we) (?:wait|buy now)\b|\bwaiting for\b.*\bprice\b|\b(?:good|fair|great|decent|normal|high|low) price\b|\bfluctuat\w*|"
    r"\b(?:gone|go|went|come|came) (?:up|down)\b|\bon sale\b.*\b(?:last|past|recently|lately|this|ever|before|days|month|week)\b|"
    r"\b(?:dropped|drop|cheaper|lower|discounts?|sales?|deals?)\b.*\b(?:in the |over the |during the |these )?(?:last|past)\b|"
    r"\bcheaper (?:before|recently|lately|last|earlier)\b|\b(?:worth|better) (?:waiting|to wait)\b|\b(?:real|genuine|good) (?:deal|discount|sale)\b|"
    r"\bever (?:go|goes|went) on sale\b|\bprices?\b.*\b(?:last|past) (?:\d+ )?(?:days?|weeks?|months?|year)\b|"
    r"\bcost\b.*\b(?:last|past|ago)\b|\b(?:days?|weeks?|months?) ago\b.*\b(?:price|cost|cheaper)\b|"
    r"\bcost ago\b|\bcost\b.*\bago \d"
)
_ORDERS = re.compile(
    r"\bmy (?:most expensive|biggest|largest|first|last|latest|newest|cheapest|smallest) (?:orders?|buys?)\b|\bhow (?:often|many times) (?:do|did|have) (?:i|we)\b|\b(?:have|did) (?:i|we) (?:spent|spend|pay)\b|"
    r"\b(?:my|previous|past|recent|earlier|old|last|latest) (?:orders?|purchases?|package|delivery|deliveries|shipment)\b|\border (?:status|history|number)\b|"
    r"\btrack(?:ing)?\b|\b(?:did|have) (?:i|we) (?:already |last |ever |just )?(?:buy|bought|order|ordered|purchase|get|got)\b|\bwhere (?:is|are) my\b|"
    r"\bwhat (?:i|we) (?:have )?(?:bought|ordered)\b|\bo\d{6,}\b|\bmy (?:stuff|things|items|shipment)\b.*\b(?:arrive|come|ship\w*)\b|\bpackage\b|"
    r"\b(?:has|have|did|is) (?:my|the|our) .*\b(?:shipped|arrived|arrive|delivered|get here|here yet|come|on its way)\b|\bi (?:have )?(?:ordered|bought)\b|"
    r"\b(?:list|show|see)\b.*\b(?:i|we) (?:have )?buy\b|\b(?:already )?arrived (?:my|the) order\b"
)
_REVIEWS = re.compile(r"\breviews?\b|\b(?:people|customers|buyers|others|owners|everyone|users)\b.*\b(?:say|saying|think|complain|like)\b|"
                      r"\bcomplain(?:ts?|ing)?\b|\b(?:problems|issues|downsides|drawbacks)\b.*\bwith\b|\bopinions?\b")  # fmt: skip
_RATED = re.compile(
    r"\b(?:any|do you (?:have|sell|carry)|looking for|find|show|recommend\w*|suggest\w*|need|want|search)\b.*"
    r"\b(?:good|great|best|top|high|higher|positive|strong|decent|excellent|well) (?:reviews?|reviewed|ratings?|rated)\b"
)
"""Reviews as a wish, of goods that are still to be found."""
_COMPARE = re.compile(r"\bcompar\w+|\bversus\b|\b(?:better|worse|lighter|heavier|bigger|smaller|stronger|warmer) than\b|\bdifferences?\b|\b(?:better|best|rather|prefer|choose|pick)\b.*\bor\b|\bor\b.*\b(?:better|best)\b|"
                      r"\bwhich (?:one )?(?:of|is|should|has|lasts|weighs|arrives|costs)\b.*\b(?:better|best|these|them|those|two|cheaper|cheapest|\w+ier|\w+iest|larger|largest|smaller|smallest|bigger|biggest|longer|longest|warmer|warmest|sooner|soonest|faster|fastest|more|most|less|least)\b")  # fmt: skip
_COMPARE_FIRST = re.compile(
    r"\bwhich (?:one )?(?:has|have|is|are|of)\b.*\b(?:better|best|higher|highest) (?:reviews?|ratings?|rated)\b|"
    r"\bwhich (?:one )?(?:would|do|should) (?:you|i) (?:pick|choose|recommend|take|buy|get|prefer)\b"
)
"""Which of those shown."""
_PLAN = re.compile(
    r"\beverything (?:(?:i|we) need |we'll need )?for\b|"
    r"\bplan(?:s|ning)?\b|\b(?:getting ready|prepar\w+|pack(?:ing)?|shopping list|checklist|essentials|gear|equip\w*|set up|setting up) (?:for|a|my|list)?\b|"
    r"\b(?:need|bring|take|get|buy) (?:to (?:bring|pack|take|get|buy) )?(?:for|when going|to go|if i go|on) (?:a|an|our|my|the|camping|hiking)?\b|"
    r"\bdue\b.*\b(?:get|need|buy|have)\b|\bmoving (?:to|into|out)\b|\bwhat am i missing\b|\bdo (?:i|we) (?:need|have to (?:get|buy))\b|\bshopping list\b|\bessentials?\b|"
    r"\borgani[sz]\w+|\bhost(?:ing)?\b|\bgoing (?:on|to go)? ?(?:a |an )?(?:camping|hiking|skiing)\b|\btrip\b|\bthrow(?:ing)? a\b"
)
_FOR_THEM = re.compile(
    r"\b(?:get|give|buy|bring|find) (?:something (?:nice )?(?:for )?)?(?:her|him|them|my \w+)\b|\bwhat (?:should|could|can|would) (?:i|we) (?:get|give|buy)\b"
)
_GIFT = re.compile(
    r"\bgifts?\b|\bpresents?\b|\bsurprise (?:for )?my\b|\bsomething (?:nice |small |special )?(?:(?:under|below|for|around|up to|at most) [$€£]? ?\d+ ?(?:dollars|euros|[$€£])? )?for (?:my\b|(?:a|an|our) \w+'s? (?:newborn|baby|birthday|wedding|kid|son|daughter)\b)|"
    r"\bwhat do you (?:get|give|buy) (?:a|an|someone|somebody|people)\b|\bstocking stuffers?\b|\bwould (?:my )?\w+ like\b"
)
_STYLE = re.compile(
    r"\boutfits?\b|\bstyl(?:e|ing)\b|\bgo(?:es)? (?:well |good |nicely )?with\b|\bmatch(?:es|ing)?\b|\bwear (?:with|to|it|this|these|for)\b|"
    r"\blooks? (?:good|nice|great) (?:with|on)\b|\bpair (?:it|this|these|them) with\b|\bdress code\b|\bwhat (?:should|can|could) i wear\b|\bphoto\b"
)
_WEB = re.compile(
    r"\b(?:news|weather|forecast|articles?|magazines?|guides?|recalls?|trend(?:s|ing)|google|web|online|internet|blogs?)\b|\bexperts?\b|"
    r"\bhow (?:to|do i|do you|should i) (?:choose|clean|care|pick|store|use|maintain|wash|train|prepare)\b|\bcommon mistakes\b|\bsafety\b|\blook up\b|"
    r"\btested by\b|\btests? (?:by|of)\b"
)
_HOW_TO = re.compile(
    r"^(?:please |so |and |, )*how (?:to|(?:do|can|should|would) (?:i|you|we|one|people)) "
    r"(?!(?:return|order|reorder|buy|cancel|track|pay|find|get|add|change|contact|check|see|view|know|delete|forget|compare|return|like|rate)\b)[a-z]"
)
"""A question how something is done, of the world and not of the shop."""
_IMPERSONAL = re.compile(
    r"\bis it (?:safe|ok|okay|healthy|unhealthy|bad|dangerous|normal|legal|necessary) (?:to|for|if)\b"
)
_HOW = re.compile(
    r"\bhow (?:to|do|should)\b|\bexperts?\b|\bguides?\b|\bnews\b|\brecalls?\b|\bsafety\b|\bmistakes\b|\btests?\b|\bweb\b|\bonline\b|\blook up\b"
)
_DEALS = re.compile(r"\bdeals?\b|\bon sale\b|\bdiscount(?:s|ed)?\b|\bclearance\b|\boffers\b|\bcoupons?\b")
_AVAILABLE = re.compile(
    r"\b(?:in stock|available|availability|sold out|out of stock)\b|\bhow (?:soon|long|fast|quick\w*)\b.*\b(?:arriv\w*|deliver\w*|ship\w*|get|take|here|come)\b|"
    r"\b(?:deliver\w*|ship|ships|shipping|arrive|arrives)\b|\bhave (?:it|this|these|them|any) (?:left|in)\b|\bget (?:it|this|them) by\b|"
    r"\bwhen (?:can|could|would|will) (?:i|we|it|they|this|these) (?:have|get|be here|come|arrive|receive)\b"
)
_PRICE = re.compile(r"\bhow much\b|\bprice\b|\bcosts?\b")
_SEARCH = re.compile(
    r"\b(?:recommend\w*|suggest\w*|options?|alternatives?|ideas?|looking for|find|search|show me|need|want|best|good|top|choices|selection|"
    r"what .*\b(?:should|would|can)\b|do you (?:have|sell|carry)|any\b|got any|browse)\b"
)
_FACT = re.compile(r"\b(?:is|are|does|do|can|will|has|have|how|what|which|who|whether|would|could)\b")
_BUY = re.compile(r"\b(?:buy|order|check ?out|get me|i'll take|i want)\b")
_NOTIFY = re.compile(r"\bkeep an eye\b|\bnotify\b|\btell me\b|\bremind\b|\blet me\b|\bwatch\b|\bwake me\b|\bholler\b")
_WAIT = re.compile(
    r"\b(?:when|once|if|until|as soon|after|unless|in case|soon as|only at|while|should it|should they)\b|\bdrops?\b|\bfalls?\b|\bgoes down\b|\bhits\b|\bwait\b"
)
_CHEAPER = re.compile(
    r"\b(?:cheaper|on sale|discount\w*|drops?|falls?|goes down|come down|comes down|lower price|price is lower|less expensive|bargain|off|special)\b"
)
_THANKS = re.compile(
    r"^(?:please )?(?:thanks?|thank you|great|perfect|cool|awesome|nice|ok|okay|got it|cheers|bye|goodbye)\b"
)
_HELLO = re.compile(
    r"^(?:hello|hi|hey|good (?:morning|evening|afternoon)|help|what can you do|who are you|how are you)\b"
)
_YES = re.compile(r"^(?:yes|yep|yeah|sure|ok|okay|confirm\w*|do it|go ahead|please do|sounds good|agreed|absolutely)\b")
_NO = re.compile(r"^(?:no|nope|don't|never ?mind|cancel that|stop|leave it|forget it)\b")
_OFF_TOPIC = re.compile(
    r"\b(?:what time is it|what day is|poem|joke|song|story|essay|code|python|javascript|homework|capital of|president|translate|lyrics|math|solve|equation|politic\w*|religion|"
    r"medical|diagnos\w*|lawyer|legal advice|stocks?(?= market| price)|bitcoin|crypto|horoscope|recipe for disaster)\b"
)
_THIS = re.compile(
    r"\b(?:this(?! (?:week|weekend|month|year|morning|evening|time|summer|winter|spring|autumn|fall|one time)\b)|these|it|its|it's|they|them|that one|those|the (?:item|product|article|one|thing))\b"
)


def asks_of(reading: Reading, *, page: bool, images: int) -> list[Ask]:
    """The asks of a message, in its order; never none."""
    return list(_asks_of(reading, page, images > 0))


@lru_cache(1024)
def _asks_of(reading: Reading, page: bool, images: bool) -> tuple[Ask, ...]:
    """The same, kept: every round of a turn reads its message again, and the one before it."""
    return tuple(_parted(reading, page, images))


def _parted(reading: Reading, page: bool, images: bool) -> list[Ask]:
    text = reading.text
    if (_OTHERS.search(text) and _OWN_THINGS.search(text)) or _OTHERS_RAW.search(reading.raw):
        return [Ask("others_account", text, reading.raw)]
    if _OVERRIDE.search(text) or _OVERRIDE.search(reading.raw.lower()):
        return [Ask("override", text, reading.raw)]
    if (
        slots.person(text)
        and _FOR_THEM.search(text)
        and not (_waits_for_price(text) or _REORDER.search(text) or _ORDERS.search(text))
    ):
        return [Ask("gift", text, reading.raw)]
    asks: list[Ask] = []
    kept: list[Ask] = []
    if _LET_GO.search(text):
        return [Ask("let_go", text, reading.raw)]
    if not _RECALL.search(text) and (match := _REMEMBER.search(text)):
        # What is to be remembered may read like anything: it is one ask to its end, or from the beginning.
        if _NOTHING_MORE.match(text, match.end()):
            return [Ask("remember", text, reading.raw)]
        kept = [Ask("remember", text[match.start() :], reading.raw)]
        if further := _FURTHER.search(text, match.end()):
            after = asks_of(Reading(reading.raw, text[further.end() :], reading.spanish), page=page, images=int(images))
            kept = [Ask("remember", text[match.start() : further.start()], reading.raw), *after]
        text = re.sub(r"(?:\b(?:and|also|please|then|oh)\b|[ ,.;])+$", "", text[: match.start()])
        if len(text.split()) < 3:
            return kept
    parts = _conditioned([part.strip(" ,") for part in _SPLIT.split(text) if part.strip(" ,")])
    for part, act in (piece for whole in parts for piece in _each_good(whole, page, images)):
        weak = act in ("none", "thanks", "hello", "search") and not _SEARCH.search(part)
        if asks and act == "search" and asks[-1].act in _WIDE and not slots.things(part):
            asks[-1] = Ask(asks[-1].act, f"{asks[-1].text} , {part}", reading.raw)
        elif asks and (weak or asks[-1].act in ("thanks", "hello", "none", "yes")):
            last = asks.pop()
            joined = f"{last.text} , {part}"
            keep = last.act if weak and last.act not in ("thanks", "hello", "none", "yes") else act
            asks.append(Ask(keep, joined if last.act not in ("thanks", "hello", "yes") else part, reading.raw))
        else:
            asks.append(Ask(act, part, reading.raw))
    return [*_joined(asks), *kept] or [Ask("none", text, reading.raw)]


_AND = re.compile(r" (?:, and|,|and|plus|as well as) (?=(?:an?|some|the|two|three|four|five|six|\d+) |[a-z])")
_VERB = re.compile(r"^.*?\b(?:add|put|throw|place|toss|need|want|find|show me|looking for|get me|order|buy)\b")


def _each_good(part: str, page: bool, images: bool) -> list[tuple[str, str]]:
    """A part with its act; `add a tent and a sleeping bag to my cart` is two: each side of the `and` names goods."""
    act = _act(part, page, images)
    pieces = _AND.split(part) if act in ("cart", "search") else [part]
    verb = _VERB.match(part) if len(pieces) > 1 else None
    if verb is None or not all(_names_goods(piece) for piece in pieces):
        return [(part, act)]
    named = [pieces[0], *(f"{verb[0]} {piece}" for piece in pieces[1:])]
    return [(piece, _act(piece, page, images)) for piece in named]


def _names_goods(text: str) -> bool:
    return any(word in lexicon().goods for word in slots.things(text))


_FURTHER = re.compile(
    r",? (?:and|then|also)(?: then| also| please)* (?=(?:find|show|recommend|suggest|search)(?: me)?\b)"
)
"""Where a fact that is to be remembered ends, and an ask that can be nothing else begins."""
_ONCE = re.compile(r"^when\b.* , .*\b(?:buy|order|get|take|notify|tell me|let me)\b")
"""`when it costs 200, buy it` asks nothing."""
_CONDITION = re.compile(r"^(?:and |but |only )*(?:if|when|once|as soon as|should|after|in case)\b(?! (?:not|so)\b)")


_POINTED = re.compile(
    r"(?:and |ok |what about |how about )*(?:the |number |option )?(?:first|second|third|fourth|fifth|last|other|cheapest|cheaper|\d)(?: one)?"
)
"""`the second one , is it in stock`: whom the question behind it means."""


_WATCHED = re.compile(r"(?:please )?(?:notify me when|watch|look out for|monitor|follow)\b")
"""`keep an eye on air fryers , tell me when one is below 60`."""
_ONCE_OURS = re.compile(
    r"(?:i|we) (?:(?:used to|always|usually|often|once|have) )*(?:buy|bought|order|ordered|get|got|had|use|used|purchased)\b"
)
_AGAIN = re.compile(
    r"\b(?:it|them|that|those|some|more)\b.*\b(?:again|more|back)\b|\breorder\b|\bget (?:me |us )?(?:more|some)\b"
)
"""`we used to buy a hazelnut creamer , can you get it again`."""


def _conditioned(parts: list[str]) -> list[str]:
    """The parts, those that are one ask together: `when it's 10% off, buy it`, `the second one, is it in stock`."""
    joined: list[str] = []
    for part in parts:
        if joined and _one_ask(joined[-1], part):
            joined[-1] = f"{joined[-1]} , {part}"
        else:
            joined.append(part)
    return joined


def _one_ask(before: str, part: str) -> bool:
    """Whether a part only says what, when or which of the part before."""
    priced = slots.wanted_price(before).known
    if _CONDITION.match(before) and (priced or _CHEAPER.search(before)):
        return True
    if _WATCHED.match(before) and not priced and _NOTIFY.search(part) and slots.wanted_price(part).known:
        return True
    return bool(_POINTED.fullmatch(before) or (_ONCE_OURS.match(before) and _AGAIN.search(part)))


def _waits_for_price(text: str) -> bool:
    """Whether words wait for a price."""
    return slots.wanted_price(text).known and bool(_WAIT.search(text))


def _joined(asks: list[Ask]) -> list[Ask]:
    """A plan, a gift or a look for options is one ask, however many sentences tell of it."""
    wide = next((ask.act for ask in asks if ask.act in ("plan", "gift", "style")), None)
    if wide and all(ask.act in (wide, "search", "none", "web", "fact", "deals") for ask in asks):
        return [Ask(wide, " , ".join(ask.text for ask in asks), asks[0].raw)]
    if {ask.act for ask in asks} == {"orders", "return"}:  # `the blender I bought is broken, I want my money back`
        return [Ask("return", " , ".join(ask.text for ask in asks), asks[0].raw)]
    if [ask.act for ask in asks] == ["alert", "cart"] and not _names_goods(
        asks[1].text
    ):  # `wait until it is 10% cheaper, then buy it`
        return [Ask("auto_buy", f"{asks[0].text} , {asks[1].text}", asks[0].raw)]
    return asks


def _act(text: str, page: bool, images: bool) -> str:
    if _priced(text, page) is not None:
        return str(_priced(text, page))
    for act, rule in _RULES:
        if rule(text):
            return act
    here = page or bool(_THIS.search(text))
    if images or (_STYLE.search(text) and not slots.wanted_price(text).known):
        return "style"
    if _RANKED_GOODS.match(text) and _names_goods(text) and not re.search(r"\b(?:been|was|ever|price|it)\b", text):
        return "search"
    if _HISTORY.search(text):
        return "history"
    if _POINTED.fullmatch(text):
        return "none"
    if not _THIS.search(text) and (
        _HOW_TO.match(text) or (_WEB.search(text) and (_open_world(text) or _HOW.search(text)))
    ):
        return "web"
    if not page and _IMPERSONAL.search(text):
        return "web"
    if _PLAN.search(text) and slots.occasion(text) is not None and not _THIS.search(text):
        return "plan"
    if _DEALS.search(text):
        return "history" if here and not re.search(r"\bdeals\b|\boffers\b", text) else "deals"
    if _AVAILABLE.search(text):
        return "available"
    if _PRICE.search(text) and not _asks_trait(text):
        return "price"
    about_one = here or re.search(r"\b(?:that|those)\b", text) or ("the " in text and not _open_world(text))
    if (
        _asks_trait(text)
        and _FACT.search(text)
        and about_one
        and not re.search(r"\b(?:recommend\w*|suggest\w*|options)\b", text)
    ):
        return "fact"
    if another(text):
        return "search"
    if _SEARCH.search(text) and not (here and re.match(r"(?:is|are|does|do|can|will|has|have|how)\b", text)):
        return "search"
    if _FACT.search(text) and here:
        return "fact"
    if _BUY.search(text) and not re.match(r"(?:how|what|which|who|why|when|did|have|has)\b", text):
        return "cart"
    if _PLAN.search(text) and slots.occasion(text) is not None:
        return "plan"
    if _FACT.match(text) and slots.things(text):
        return (
            "fact"
            if about_one
            else "web"
            if re.match(r"(?:what|who|how|why|when)\b", text) and _open_world(text)
            else "search"
        )
    return "search" if slots.things(text) else "none"


def _open_world(text: str) -> bool:
    """A question about the world, and not about goods: it names nothing that is known to be sold."""
    known = lexicon()
    goods = {
        stem(word)
        for group in (known.needs, known.people)
        for row in group.values()
        for thing in row
        for word in thing.split()
    }
    return not any(stem(word) in goods for word in slots.things(text))


def _priced(text: str, page: bool) -> str | None:
    """`auto_buy` or `alert`, where the words wait for a price; None where they do not."""
    wanted = slots.wanted_price(text)
    waits, cheaper = bool(_WAIT.search(text)), bool(_CHEAPER.search(text))
    buys = re.search(r"\b(?:buy|order|get|take|checkout|pick|auto-buy)\b", text)
    here = page or bool(_THIS.search(text))
    if (_QUESTION.match(text) and not _ONCE.match(text)) or re.match(r"(?:is|are|was|were|has|have|does|did)\b", text):
        return None
    if (
        _NOTIFY.search(text)
        and (wanted.known or cheaper)
        and (waits or wanted.known or re.search(r"\balert\b|\bnotify\b", text))
    ):
        return "alert"
    if buys and ((waits and (wanted.known or cheaper)) or (wanted.ratio is not None)):
        return "auto_buy"
    if buys and wanted.known and re.search(r"\b(?:at|under|below|for) " if here else r"\bat [$€£]? ?\d", text):
        return "auto_buy"
    if re.search(r"\bauto[- ]?buy\b|\bautomatic\w*\b.*\bbuy\b|\bbuy\b.*\bautomatic\w*\b", text):
        return "auto_buy"
    if (
        re.search(r"\b(?:price )?notify\b|\bprice alert\b", text)
        and (here or slots.things(text))
        and re.search(r"\bprice\b|\bnotify\b", text)
    ):
        return "alert" if re.search(r"\bprice\b|\bdrops?\b|\bsale\b|\bcheaper\b", text) else None
    return "alert" if waits and wanted.known and re.search(r"\bwait\b|\bdrops?\b|\bfalls?\b", text) and here else None


def _asks_trait(text: str) -> bool:
    words = set(re.findall(r"[a-z][a-z-]*", text))
    return any(words & asks or words & values for asks, values in lexicon().traits.values())


def _reorders(text: str) -> bool:
    return bool(_REORDER.search(text)) and not _QUESTION.match(text)


def _orders(text: str) -> bool:
    return bool(_ORDERS.search(text)) and not _HISTORY.search(text)


def _returns(text: str) -> bool:
    return bool(_RETURN.search(text)) and not re.search(r"\bpolicy\b|\bcan (?:i|you)\b.*\bif\b", text)


_RULES: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("human", _HUMAN.search),
    ("checkout", _CHECKOUT.search),
    ("rules", _RULES_OF_MINE.search),
    ("policy", _POLICY.search),
    ("out_of_cart", _OUT_OF_CART.search),
    ("forget", lambda text: _FORGET.search(text) and not text.startswith("forget it")),
    ("recall", _RECALL.search),
    ("cancel", _CANCEL.search),
    ("return", _returns),
    ("reorder", _reorders),
    ("change", lambda text: _CHANGE.search(text) and "order" in text),
    ("cart_view", _CART_VIEW.search),
    ("cart", _CART.search),
    ("off_topic", _OFF_TOPIC.search),
    ("gift", _GIFT.search),
    ("compare", lambda text: _COMPARE_FIRST.search(text) and not slots.things(text)),
    ("reviews", lambda text: _REVIEWS.search(text) and not _RATED.search(text)),
    ("web", lambda text: re.search(r"\bdifferences? between\b", text) and slots.things(text) and _open_world(text)),
    ("compare", lambda text: _COMPARE.search(text) and not _HISTORY.search(text)),
    ("orders", _orders),
    ("thanks", lambda text: _THANKS.match(text) and not slots.things(text)),
    ("yes", lambda text: _YES.match(text) and not slots.things(text)),
    ("no", lambda text: _NO.match(text) and not slots.things(text)),
    ("hello", lambda text: _HELLO.match(text) and not slots.things(text)),
)


_ANOTHER = re.compile(
    r"(?:and |but |ok |, )*(?:(?:is|are) there |do you have |have you (?:got )?|show me |got |find me )?(?:any|anything|something|a|an|some|others?|the)? ?"
    r"(?:one |ones |thing )?(?:cheaper|less expensive|better|similar|alternatives?)\b(?: (?:one|ones|alternatives?|options?|here))?"
)


def another(text: str) -> bool:
    """Whether words want another product than what is in view: `anything cheaper`, `is there a better one`."""
    return _ANOTHER.fullmatch(text.strip(" ,.?!")) is not None


def points_at_one(text: str) -> bool:
    """Whether words are nothing but a place or a rank among what was shown: `what about the second one`."""
    return _POINTED.fullmatch(text.strip(" ,.?!")) is not None


def points_at_this(text: str) -> bool:
    """Whether the words point at something that is in view: this, these, it."""
    return bool(_THIS.search(text))
