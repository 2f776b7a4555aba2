"""The words of each act: patterns over a message in its normal form, most of what `understanding` goes by."""

from __future__ import annotations

import re

OPENERS = (
    r"is|are|does|do|did|has|have|was|were|can|could|will|would|what|which|when|where|who|how|why|tell|show|find|add|put|"
    r"buy|order|reorder|restock|remember|forget|notify|compare|cancel|return|track|recommend|suggest|check|give|look|let|"
    r"search|i want|i need|i'd|please|if (?:not|so)|otherwise|just"
)
SPLIT = re.compile(
    rf" ?(?:(?:[?!;\n]|\.(?!\d))+|,? (?:and then|and also|and|also|then|but|plus|,)(?= (?:please )?(?:{OPENERS})\b)) ?"
)
OTHERS = re.compile(
    r"\bcustomer c?\d+|\bc0\d{4,}\b|\b(?:someone|somebody) else|\b(?:an)?other (?:customer|person|user|account|shopper)|"
    r"\bother (?:customers|people|users)'?|\b(?:friend|wife|husband|ex|boss|sister|brother|mom|dad|roommate|flatmate|colleague|"
    r"coworker|neighbou?r|cousin|uncle|aunt|girlfriend|boyfriend|son|daughter)(?:'?s)? (?:last |latest |recent )?(?:orders?|account|cart|card|package|"
    r"purchases?)\b|\b(?:his|her) (?:last |latest |recent )?(?:orders?|account|cart|card|package|purchases)\b|"
    r"\bevery(?:one|body)'?s? (?:\w+ )?(?:e-?mails?|addresses|orders|cards|data|phone numbers?)\b|"
    r"\b(?:all|every) (?:the )?(?:customers?|users?|accounts?|carts?)\b|\beveryone'?s? orders|"
    r"\b(?:ordered|bought|purchased) (?:my|his|her|their|our) \w+\b|\b(?:neighbou?r|roommate|flatmate|colleague|coworker|boss|ex)\b.*\b(?:order|ordered|buy|bought|purchased|ships?|shipped)\b|"
    r"\b(?:what|everything|stuff|things|orders?) (?:that )?(?:he|she|they) (?:has |have |had )?(?:ordered|bought|purchased)\b|"
    r"\bwhat (?:did|has|have) (?:he|she) (?:ordered?|buy|bought|purchased?)\b|"
    r"\bas (?:another|a different) (?:customer|user|person)\b|\bswitch (?:to|into) (?:\w+ )?account\b"
)
OTHERS_RAW = re.compile(
    r"\b[A-Z]\w+(?: [A-Z]\w+)?['’]s (?:last |latest |recent )?(?:orders?|cart|account|package|purchases)\b|"
    r"\b(?:orders?|purchases|cart|account|package) (?:of|by|from|belonging to) [A-Z]\w+ [A-Z]\w+|"
    r"\b(?:did|has) [A-Z][a-z]+ (?:[A-Z][a-z]+ )?(?:buy|bought|order|ordered|purchased?)\b"
)
OWN_THINGS = re.compile(
    r"\border|\baccount|\bcart|\bpurchase|\bpackage|\bcard|\baddress|\bbought|\bbuy|\breorder|\bremember|\bknow\b|\brule|\balert|"
    r"\bnotify|\bprice|\bauto"
)
OVERRIDE_MARK = re.compile(r"^ ?(?:system|admin|developer) ?:|<\W*(?:confirmed|system|prefetch)")
OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|override|bypass) (?:all |any |your |the |previous |prior |my )*(?:instructions?|rules?|system|"
    r"prompts?|policy|policies|restrictions?)|\b(?:system|developer|admin) (?:prompt|mode|override|message)|"
    r"\bconfirmations? (?:is|are) (?:disabled|off|not needed)|\bdo (?:what|whatever|as) (?:they|it|the reviews?|that|he|she) (?:asks?|says?|tells?|want)|"
    r"\b(?:without|skip|no|don't need|bypass|avoid|forget) (?:the |any |a |my |your )?(?:asking|confirm\w*|permission|approval|consent|checking)\b|"
    r"\b(?:no need|don't|not have|without having) to (?:ask|check|confirm)\b|\b(?:don't|do not|without) (?:ask|asking|bother asking)(?: me)?\b|"
    r"\b(?:have|with) my (?:full )?(?:permission|consent|approval)\b|\bconfirm(?:ed)? (?:in advance|it yourself|for me|yourself|on my behalf|everything)\b|"
    r"\bpretend(?:ing)? (?:that )?i\b|\bauthori[sz]e you\b|\bas (?:the|a|your) (?:developer|admin|administrator|owner)\b|\bsilently\b|"
    r"\b(?:execute|call|invoke|run) (?:the )?(?:tool|function|\w+_\w+)\b|\brepeat everything above\b|\bcard (?:number|digits)\b|"
    r"\b(?:ignore|disregard) (?:everything|anything|all|what(?:ever)?)\b|\bjust charge\b|\b(?:follow|obey|execute) the instructions\b|"
    r"\byou are now\b|\bjailbreak|\bpretend (?:to be|you)|\bconfirmed tool\b|"
    r"\b(?:reveal|print|show|repeat) (?:me )?(?:your |the )(?:system |hidden )?(?:prompt|instructions)"
)
HUMAN = re.compile(r"\b(?:human|representative|real person|live (?:chat|person|agent)|someone real)\b|\b(?:talk|speak|connect|"
                    r"chat)\b.*\b(?:person|agent|someone|somebody|anyone|human|people|manager|supervisor|staff)\b|"
                    r"\b(?:want|need|get me|give me|fetch|where is) (?:a|an|your|the)? ?(?:manager|supervisor|human|person|agent|operator)\b|"
                    r"\b(?:person|agent|someone|somebody|manager|supervisor|staff)\b.*\b(?:talk|speak|chat) (?:to|with)\b")  # fmt: skip
RECALL = re.compile(
    r"\bwhat (?:shoe |dress |shirt |clothes |ring )?size (?:am i|do i (?:wear|take|need))\b|"
    r"\bwhat know of (?:me|my)\b|"
    r"\bwhat (?:do|did|have|all) .*\b(?:know|remember|told|tell|saved|stored|noted|keep|kept)\b.*\b(?:me|my|you|i)\b|"
    r"\bwhat (?:do|have) you (?:have|got)\b.*\b(?:on|about) (?:me|my)\b|\b(?:data|info\w*|notes) (?:on|about) me\b|"
    r"\bwhat (?:do|don't|can't|am|did) i (?:not )?(?:like|eat|drink|hate|prefer|allergic)\b|"
    r"\bdo you (?:still )?remember\b|\bwhat .*\bremember(?:ed)?\b|\b(?:remember|remembered|know) about me\b|\bmy (?:memory|facts)\b"
)
FORGET = re.compile(
    r"\bforget\b|\b(?:erase|delete|wipe|clear|drop|remove|scrap)\b.*\b(?:memory|remember\w*|facts?|(?:know|saved|stored|have) about|about me|notes?|that i)\b"
)
REMEMBER = re.compile(
    r"\b(?:remember|don't forget|(?:keep|bear) (?:(?:that|this|it) )?in mind|make a note|take a note|note (?:that|i|we|my|our)|save that|note down|"
    r"for (?:future|your) reference|just so you know|for the record|keep (?:it |this |that )?on file|store this)\b"
)
LET_GO = re.compile(
    r"^(?:ok |please |no |oh |, )*(?:scrap|scratch|undo|delete) (?:that|it)[ .!]*$|\b(?:don't|do not|never|no need to|needn't) (?:remember|note|save|keep) (?:that|this|it)\b(?! i)"
)
NOTHING_MORE = re.compile(
    r"[ ,.;!?]*(?:\b(?:that|this|it|please|for|me|later|next|time|of|down|too|now|will you|would you|can you|ok|okay|thanks|thank you)\b[ ,.;!?]*)*$"
)
"""Behind `remember`: what is meant stands before it."""
STOP_ORDER = re.compile(
    r"\b(?:annul|call off|revoke)\b|\bstop (?:it|that|this|(?:my|the|that) (?:\w+ )?order)\b(?= (?:before|from|please|if)|$)|"
    r"\b(?:don't|do not) (?:send|ship|deliver) (?:me )?(?:(?:my|the|that) (?:\w+ )?(?:order|package)|it)\b"
)
"""A cancellation of a whole order, in other words."""
CANCEL = re.compile(rf"\bcancel\b|{STOP_ORDER.pattern}")
CHANGE = re.compile(
    r"\b(?:take|remove|add|drop|put|leave)\b.*\b(?:off|from|out of|to|on|in) (?:my|the|that|this) (?:\w+ )?order\b|\b(?:change|update|edit|modify|switch)\b.*\b(?:order|address|delivery|quantity|it)\b"
)
RETURN = re.compile(
    r"\b(?:was|came|arrived|were|is|are|turned up) (?:all |completely |totally )?(?:off|spoiled|broken|faulty|defective|rotten|cracked|torn|stale|expired|mouldy|moldy|leaking|melted|dented|ripped|smashed|chipped|scratched|burnt)\b|\b(?:isn't|aren't|not) what (?:i|we) (?:ordered|bought)\b|"
    r"\bnot happy with (?:my|the)\b|\b(?:swap|exchange) (?:my|the)\b|"
    r"\b(?:received|got|sent) (?:me )?(?:the|a) (?:wrong|broken|damaged)\b|\barrived (?:broken|damaged)\b|\b(?:returns?|returning|refund|send (?:it |them |this |these )?back|money back)\b"
)
CHECKOUT = re.compile(
    r"\b(?:place|complete|finish|submit|finali[sz]e) (?:the|my|this|that|an|our)? ?order\b|\bcheck ?out\b|\bpay now\b|\bcharge my card\b"
)
CART_VIEW = re.compile(
    r"\bwhat is in (?:there|it)\b|\b(?:what|show|see|view|list|check|how (?:much|many))\b.*\b(?:my|the) cart\b"
)
OUT_OF_CART = re.compile(
    r"\b(?:remove|delete|take|drop|empty|clear)\b.*\bcart\b(?<!to my cart)(?<!into the cart)|"
    r"^(?:please |no |actually |and |, )*(?:remove|take out|take (?:it|that|them|this|the .*) (?:out|off))\b"
)
RULES_OF_MINE = re.compile(
    r"\b(?:cancel|stop|delete|remove|end|undo|turn off|switch off|don't)\b.*\b(?:notify|alerts?|rules?|auto-?buys?|watch(?:ing)?|automatic purchases?)\b|"
    r"\b(?:what|which|show|list|see|have)\b.*\b(?:price )?(?:notify|alerts|rules|auto-?buys|automatic purchases)\b(?! me\b)"
)
POLICY = re.compile(
    r"\binsur(?:ed?|ance)\b|\binstal?lments?\b|\bpay (?:later|in (?:parts|rates|instal\w*|\d))\b|\bcard (?:info\w*|details|data)\b|\b(?:promo(?:tion(?:al)?)?|discount|coupon|voucher)s? codes?\b|"
    r"\b(?:charge|fees?|free|pay)\b.*\b(?:returns?|returning|shipping|delivery)\b|\bhow much (?:is|are|for|does) (?:the )?(?:shipping|delivery|postage)\b|"
    r"\bhow (?:long|many days|much time)\b.*\b(?:refund|return|send \w+ back|send back|money back)\b|\b(?:prime day|black friday|cyber monday)\b|"
    r"\b(?:stolen|lost in the mail|never (?:arrives?|arrived|comes?))\b|"
    r"\b(?:this|your) (?:store|shop|site|website|company)\b|"
    r"\b(?:klarna|paypal|afterpay|affirm|venmo|apple pay|google pay|cash on delivery|emi|gift (?:cards?|vouchers?))\b|"
    r"\bwhat is (?:the|your) shipping (?:like|cost|on|for|to)\b|"
    r"\bprice match\w*|\b(?:return|refund|shipping|privacy|exchange|store) polic\w+|\bpolicy\b|\bship(?:ping)? (?:costs?|fees?)\b|"
    r"\b(?:deliver|ship) (?:to|abroad|overseas|international\w*)(?! (?:me|my|us|our|it|this)\b)|\bpayment methods?\b|\bpay (?:with|by|using)\b|"
    r"\b(?:can|could|do|is|will)\b.*\bgift[- ]?wrap\w*|\bpay (?:in|on|cash)\b|\bopening hours\b|\b(?:split|spread) (?:the |my )?(?:payment|cost|bill)\b|\b(?:is|are) (?:my|the) (?:card|data|details|payment)s? (?:safe|secure)\b|"
    r"\b(?:time limit|deadline)\b|\b(?:where|when|status)\b.*\brefund\b|\bstudent discount\b|\bmembership\b"
)
CART = re.compile(
    r"\b(?:add|put|throw|place|stick|toss|drop|move)\b.*\bcart\b|\b(?:in(?:to)?|for) (?:my |the )?cart\b|^add\b|"
    r"^(?:(?:ok|okay|yes|alright|fine|great|good|sure|so|,) )*(?:let's |i'll |i will |i'd |id |i would |we'll |please )?(?:go (?:with|for) (?:that|this|it|the)|reserve)\b|"
    r"\b(?:i'll|i will|we'll|let me) (?:have|take) (?:it|this|that|these|them|the|one|two|three|\d|a (?:pair|couple|dozen))\b|"
    r"^(?:\d+|one|two|three|four|five|six) (?:of )?(?:these|those|this|them|it)\b(?: please| for me)?[ .!]*$"
)
PAST = (
    r"again|last time|browsed|viewed|used to (?:make|bake|cook)|(?:i|we) used|(?:i|we) (?:have )?(?:bought|ordered|got|had|purchased)"
    r"|from (?:last|my last|yesterday)|as (?:last|before)|bought (?:last|before|yesterday)|(?:i|we) (?:was|were|am|have been) (?:looking|browsing|browsed|viewed)"
)
REORDER = re.compile(
    rf"\breorder\b|\bsame (?:\w+ ){{1,3}}(?:as|like) (?:last|before|always|usual)\b|\bstock (?:me|us) up\b|\brestock\b|\b(?:{PAST})\b.*\b(?:put|add|send|get|order|buy|place)\b.*\b(?:it|them|that|those|cart|me)\b|\bthe usual\b|\bsame (?:as|thing|stuff|order|items?|ones?)\b.*\b(?:last|before|again|time)\b|"
    rf"\b(?:buy|order|get|need|want|bring|send|add|put|(?:can|could|may) (?:i|we) have)\b.*\b(?:{PAST})\b|"
    rf"\beverything\b.*\b(?:{PAST})\b|\brepeat (?:my|the|that) (?:\w+ )?(?:order|buy|purchase)\b|"
    r"\b(?:need|want|get|send|buy|order) (?:me |us )?(?:some |a bit |a few )?(?:more|another) (?!options?\b|info|details?\b|time\b|reviews?\b|pictures?\b|ideas?\b|choices?\b|of (?:these|those|this|that|them|it)\b|like\b|one\b|than\b|expensive\b)[a-z]"
)
RANKED_GOODS = re.compile(
    r"(?:what|which) (?:is|are) (?:the|your) (?:cheapest|best|best rated|top rated|most expensive|least expensive|lightest|largest|biggest|smallest)\b"
)
"""`what is the cheapest drill you sell`: goods, and no price over time."""
QUESTION = re.compile(r"^(?:what|which|when|did|where|show|list|have i|how|who|tell me what|can you tell)\b")
SPAN = re.compile(r"(?:and |what about |how about )*(?:the )?(?:last|past) (?:\d+ )?(?:days?|weeks?|months?|year)[ ?]*")
"""`and last week?`, of prices."""
# An alternative that begins with anything but a word's edge costs a long pattern six times its time: those stand apart.
HISTORY = re.compile(
    r"\bever (?:been|gone|cost|dropped|fallen) (?:under|below|to|less)\b|"
    r"\bhow (?:low|high) (?:has|did|was|is)\b|\b(?:lowest|cheapest|highest)(?: price)? ever\b|\bprices?\b.*\b(?:stable|steady|volatile)\b|\bripped off\b|\boverpriced\b|"
    r"\b(?:time|moment) to (?:buy|order|get)\b|\busually\b.*\b(?:expensive|cheap|cost|price)\b|\bless money\b|\bon (?:offer|sale)\b.*\bever\b|\bever\b.*\bon (?:offer|sale)\b|"
    r"\b(?:go|went|gone|sell|sold|cost) for\b.*\b(?:start|last|ago|earlier|spring|summer|winter|autumn|month|week|year)\b|"
    r"\bcost(?:s|ed)? (?:less|more) (?:before|earlier|last|in)\b|\bprice history\b|\b(?:when|what (?:is|was)|how)\b.*\b(?:cheapest|lowest)\b|\b(?:wait or buy|buy now or|buy (?:it |this |them )?now or wait)\b|\b(?:been|ever|was|were|is|are)\b.*\b(?:on sale|cheaper|discounted|lower|less|reduced)\b.*\b(?:last|past|before|"
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
    r"\bcost ago\b|\bcost\b.*\bago \d|\bwhat (?:was|were) (?:it|this|these|they)\b.*\b(?:ago|last|before|in)\b"
)
ORDERS = re.compile(
    r"\bmy (?:most expensive|biggest|largest|first|last|latest|newest|cheapest|smallest) (?:orders?|buys?)\b|\bhow (?:often|many times) (?:do|did|have) (?:i|we)\b|\b(?:have|did) (?:i|we) (?:spent|spend|pay)\b|"
    r"\b(?:my|previous|past|recent|earlier|old|last|latest) (?:orders?|purchases?|package|delivery|deliveries|shipment)\b|\border (?:status|history|number)\b|"
    r"\btrack(?:ing)?\b|\b(?:did|have) (?:i|we) (?:already |last |ever |just )?(?:buy|bought|order|ordered|purchase|get|got)\b|\bwhere (?:is|are) my\b|"
    r"\bwhat (?:i|we) (?:have )?(?:bought|ordered)\b|\bo\d{6,}\b|\bmy (?:stuff|things|items|shipment)\b.*\b(?:arrive|come|ship\w*)\b|\bpackage\b|"
    r"\b(?:has|have|did|is) (?:my|the|our) .*\b(?:shipped|arrived|arrive|delivered|get here|here yet|come|on its way)\b|(?<!\bif )\bi (?:have )?(?:ordered|bought)\b|"
    r"\b(?:show|list|see|any|all) (?:me )?(?:my |the |our )?orders? (?:from|of|in|since)\b|\btotal (?:i |we )?spen[dt]\b|"
    r"\bhow many (?:\w+ ){1,3}(?:have|did) (?:i|we)\b|\bhow much (?:have|did) (?:i|we)\b|"
    r"\b(?:i|we) (?:have not|haven't|never|didn't|did not) (?:yet )?(?:received?|got|get)\b|"
    r"\b(?:list|show|see)\b.*\b(?:i|we) (?:have )?buy\b|\b(?:already )?arrived (?:my|the) order\b"
)
REVIEWS = re.compile(r"\bpros\b.*\bcons\b|\bany good\b|\bis (?:it|this|that) worth (?:it|the money)\b|\b(?:negative|bad|positive)\b.*\babout (?:it|this|them)\b|\bsummari[sz]e\b|\breviews?\b|\b(?:people|customers|buyers|others|owners|everyone|users)\b.*\b(?:say|saying|think|complain|like)\b|"
                      r"\bcomplain(?:ts?|ing)?\b|\b(?:problems|issues|downsides|drawbacks)\b.*\bwith\b|\bopinions?\b|\breviewers?\b|\bratings? (?:of|on|for)\b")  # fmt: skip
WATCHES_STOCK = re.compile(
    r"\b(?:notify|let me|tell me|remind)\b.*\b(?:(?:back )?in stock|available|back)\b|^(?:ok |and |please |, )*notify me when (?:it is|they are)[ .!]*$"
)
RATED = re.compile(
    r"\b(?:any|do you (?:have|sell|carry)|looking for|find|show|recommend\w*|suggest\w*|need|want|search)\b.*"
    r"\b(?:good|great|best|top|high|higher|positive|strong|decent|excellent|well) (?:reviews?|reviewed|ratings?|rated)\b|"
    r"\bwith (?:the )?(?:good|great|best|top|highest|excellent) (?:reviews?|ratings?)\b"
)
"""Reviews as a wish, of goods that are still to be found."""
COMPARE = re.compile(r"\bside by side\b|\bstack up\b|\bsets? .*\bapart\b|\bor\b.*\bwhich (?:one )?\b|\bcompar\w+|\bversus\b|\b(?:better|worse|lighter|heavier|bigger|smaller|stronger|warmer) than\b|\bdifferences?\b|\b(?:better|best|rather|prefer|choose|pick)\b.*\bor\b|\bor\b.*\b(?:better|best)\b|"
                      r"\bwhich (?:one )?(?:of|is|should|has|lasts|weighs|arrives|costs|takes|needs)\b.*\b(?:better|best|these|them|those|two|cheaper|cheapest|\w+ier|\w+iest|larger|largest|smaller|smallest|bigger|biggest|longer|longest|warmer|warmest|sooner|soonest|faster|fastest|more|most|less|least)\b")  # fmt: skip
WHICH = re.compile(r"^(?:and |ok |so |but |, )*which\b")
"""Which of those shown."""
PLAN = re.compile(
    r"\beverything (?:(?:i|we) need |we'll need )?for\b|"
    r"\bplan(?:s|ning)?\b|\b(?:getting ready|prepar\w+|pack(?:ing)?|shopping list|checklist|essentials|gear|equip\w*|set up|setting up) (?:for|a|my|list)?\b|"
    r"\b(?:need|bring|take|get|buy) (?:to (?:bring|pack|take|get|buy) )?(?:for|to|when going|to go|if i go|on) (?:a|an|our|my|the|camping|hiking)?\b|"
    r"\bdue\b.*\b(?:get|need|buy|have)\b|\bmoving (?:to|into|out)\b|\bwhat am i missing\b|\bdo (?:i|we) (?:need|have to (?:get|buy))\b|\bshopping list\b|\bessentials?\b|"
    r"\borgani[sz]\w+|\bhost(?:ing)?\b|\bgoing (?:on|to go)? ?(?:a |an )?(?:camping|hiking|skiing)\b|\btrip\b|\bthrow(?:ing)? a\b"
)
FOR_THEM = re.compile(
    r"\b(?:bring|get|give|buy) (?:them |her |him )?something\b|\b(?:get|give|buy|bring|find) (?:something (?:nice )?(?:for )?)?(?:her|him|them|my \w+)\b|\bwhat (?:should|could|can|would) (?:i|we) (?:get|give|buy)\b"
)
GIFT = re.compile(
    r"\bwhat (?:should|could|can|would) (?:i|we) (?:get|give|buy) (?:him|her|them)\b|\bsecret santa\b|\bhouse ?warming\b|\bbaby shower\b|\bgifts?\b|\bpresents?\b|\bsurprise (?:for )?my\b|\bsomething (?:nice |small |special )?(?:(?:under|below|for|around|up to|at most) [$€£]? ?\d+ ?(?:dollars|euros|[$€£])? )?for (?:my\b|(?:a|an|our) \w+'s? (?:newborn|baby|birthday|wedding|kid|son|daughter)\b)|"
    r"\bwhat do you (?:get|give|buy) (?:a|an|someone|somebody|people)\b|\bstocking stuffers?\b|\bwould (?:my )?\w+ like\b"
)
TO_GO_WITH = re.compile(r"^(?:and |ok |also |, )*(?:an?|some|the) (?:[a-z-]+ ){1,3}to go with\b")
"""`a helmet to go with that`: one thing more, and no question of style."""
RELATIVE = re.compile(
    rf"^(?:any |some |, )*(?!(?:{OPENERS}|the|this|that|these|those|i|we|you|it|notify|alert)\b)(?P<goods>(?:[a-z-]+ ){{1,6}}?)(?:that|which) "
    r"(?:is|are|can|has|have|does|do|will|would|don't|doesn't|isn't|aren't|won't|fits?|comes?|goes|works?)\b"
)
"""`blenders that can be here tomorrow`: goods with what is wanted of them."""
STYLE = re.compile(
    r"\boutfits?\b|\bstyl(?:e|ing)\b|\bgo(?:es)? (?:well |good |nicely )?with\b|\bmatch(?:es|ing)?\b|\bwear (?:with|to|it|this|these|for)\b|"
    r"\blooks? (?:good|nice|great) (?:with|on)\b|\bpair (?:it|this|these|them) with\b|\bdress code\b|\bwhat (?:should|can|could) i wear\b|\bphoto\b"
)
WEB = re.compile(
    r"\b(?:news|weather|forecast|articles?|magazines?|guides?|recalls?|trend(?:s|ing)|google|web|online|internet|blogs?)\b|\bexperts?\b|"
    r"\bhow (?:to|do i|do you|should i) (?:choose|clean|care|pick|store|use|maintain|wash|train|prepare)\b|\bcommon mistakes\b|\bsafety\b|\blook up\b|"
    r"\btested by\b|\btests? (?:by|of)\b"
)
HOW_TO = re.compile(
    r"^(?:please |so |and |, )*how (?:to|(?:do|can|should|would) (?:i|you|we|one|people)) "
    r"(?!(?:return|order|reorder|buy|cancel|track|pay|find|get|add|change|contact|check|see|view|know|delete|forget|compare|return|like|rate)\b)[a-z]"
)
"""A question how something is done, of the world and not of the shop."""
IMPERSONAL = re.compile(
    r"\bis it (?:safe|ok|okay|healthy|unhealthy|bad|dangerous|normal|legal|necessary) (?:to|for|if)\b"
)
HOW = re.compile(
    r"\bhow (?:to|do|should)\b|\bexperts?\b|\bguides?\b|\bnews\b|\brecalls?\b|\bsafety\b|\bmistakes\b|\btests?\b|\bweb\b|\bonline\b|\blook up\b"
)
DEALS = re.compile(r"\bdeals?\b|\bon sale\b|\bdiscount(?:s|ed)?\b|\bclearance\b|\boffers\b|\bcoupons?\b")
AVAILABLE = re.compile(
    r"\bany left\b|\bout of (?:this|these|it)\b|\beta\b|\b(?:be|get) here (?:by|before|on|tomorrow|in time)\b|\b(?:in stock|available|availability|sold out|out of stock)\b|\bhow (?:soon|long|fast|quick\w*)\b.*\b(?:arriv\w*|deliver\w*|ship\w*|get|take|here|come)\b|"
    r"\b(?:deliver\w*|ship|ships|shipping|arrive|arrives)\b|\bhave (?:it|this|these|them|any) (?:left|in)\b|\bget (?:it|this|them) by\b|"
    r"\bwhen (?:can|could|would|will) (?:i|we|it|they|this|these) (?:have|get|be here|come|arrive|receive)\b"
)
PRICE = re.compile(r"\bhow much\b|\bprice\b|\bcosts?\b")
SEARCH = re.compile(
    r"\b(?:recommend\w*|suggest\w*|options?|alternatives?|ideas?|looking for|find|search|show me|need|want|best|good|top|choices|selection|"
    r"what .*\b(?:should|would|can)\b|do you (?:have|sell|carry)|any\b|got any|browse)\b"
)
FACT = re.compile(r"\b(?:is|are|does|do|can|will|has|have|how|what|which|who|whether|would|could)\b")
BUY = re.compile(r"\b(?:buy|order|check ?out|get me|i'll take|i want)\b")
NOTIFY = re.compile(r"\bkeep an eye\b|\bnotify\b|\btell me\b|\bremind\b|\blet me\b|\bwatch\b|\bwake me\b")
WAIT = re.compile(
    r"\b(?:when|once|if|until|as soon|after|unless|in case|soon as|only at|while|should (?:it|they|the price)|should they)\b|\bdrops?\b|\bfalls?\b|\bgoes down\b|\bhits\b|\bwait\b"
)
CHEAPER = re.compile(
    r"\b(?:cheaper|on sale|discount\w*|drops?|falls?|goes down|come down|comes down|lower price|price is lower|less expensive|bargain|off|special)\b"
)
SEEK = re.compile(
    r"\b(?:find|search|show|browse|recommend\w*|suggest\w*|looking for|look for|need|want|sell|carry|do you have|got any|alternatives?|options?|replacement|point me to)\b"
)
"""Words that look for goods and can hardly be anything else."""
ANY_ONE = re.compile(r"\b(?:one|ones|some|any)\b")
NOT_TO = re.compile(
    r"\b(?:don't|do not|never|not to|not) (?:\w+ ){0,2}(?:add|buy|order|put|get|purchase|place|reorder)\b"
)
"""`do not add this to my cart`: no act, whatever the verb."""
NOT_CLAUSE = re.compile(
    r"\b(?:i )?(?:don't|do not|never|not to|not) (?:\w+ ){0,3}?(?:add|buy|order|put|get|purchase|place|reorder)\b.*?(?=\b(?:just|only|but|i only|rather)\b|,|$)"
)
TOLD = re.compile(
    r"^(?:and |but |so |well |ok |by the way |, )*(?:(?:i am|we are|i have|we have|i don't|we don't|i can't|i live|we live|i stopped|i have stopped)\b|"
    r"(?:i|we) no longer\b|my \w+(?: \w+)? (?:is|are|has|loves?|likes?|plays?|hates?|turns?)\b)"
)
"""What customers say of themselves."""
SELF = re.compile(
    r"\bare you (?:a |an |some |really |just )*(?:robot|bot|human|real|ai|person|machine|computer|program|chatbot|alive|assistant)\b|\bwho (?:are|made|built) you\b|"
    r"\bdo you (?:ever |really |even )?(?:like|love|feel|sleep|dream|enjoy|have feelings)\b"
)
MORE_OF = re.compile(r"\b(?:more|details|info\w*|tell me) (?:about|on|of)\b")
CHEAPER_ONES = re.compile(r"\b(?:cheaper|less expensive|better|similar)\b")
ONLY_TELL = re.compile(
    r"(?:(?:just|only|please|rather|instead|no|,) )*notify(?: me)?(?: (?:instead|only|rather|please))*[ .!]*"
)
SWITCH_OFF = re.compile(
    r"\b(?:turn|switch|cancel|stop|delete|remove|end)\b.*\b(?:it|that|this|them|one|ones)\b|\boff\b"
)
ONE_OF = re.compile(
    r"(?:and |ok |what about |how about |, )*(?:the|that|this) (?P<which>(?:[a-z0-9-]+ ){1,3})ones?[ ?.!]*"
)
"""`the walnut one`: one of those shown, by a word of its title."""
SPEAKS = re.compile(
    r"\b(?:i|you|we|he|she|they|it|is|are|was|were|am|do|does|did|who|why|will|would|feel|my|write|what's|has|have)\b"
)
"""A sentence rather than the name of a thing."""
IMPERATIVE = re.compile(r"^(?:please |can you |could you |and )*(?:tell|write|sing|translate|solve|what|who|give|do)\b")
THANKS = re.compile(
    r"^(?:please )?(?:fair enough|haha|lol|no worries|brilliant|lovely|thanks?|thank you|great|perfect|cool|awesome|nice|ok|okay|got it|cheers|bye|goodbye)\b"
)
HELLO = re.compile(
    r"^(?:hello|hi|hey|hiya|howdy|yo|morning|evening|afternoon|greetings|good (?:morning|evening|afternoon)|help|what can you do|who are you|how are you)\b"
)
YES = re.compile(r"^(?:yes|yep|yeah|sure|ok|okay|confirm\w*|do it|go ahead|please do|sounds good|agreed|absolutely)\b")
NEVER_MIND = re.compile(
    r"^(?:ok |oh |no |actually |, )*(?:never ?mind|forget it|leave it|scratch that|cancel (?:that|it))\b"
)
"""A refusal whatever comes behind it, short of goods: `never mind i'll keep them`."""
UNSAFE = re.compile(
    r"\bbombs?\b(?<!bath bomb)(?<!bath bombs)|\bexplosives?\b|\b(?:meth|cocaine|heroin)\b|\b(?:kill|hurt|poison|stab|shoot|drug|stalk) (?:my(?:self)?|someone|somebody|people|him|her|them|a person)\b|"
    r"\bsuicid\w+|\bself[- ]harm\b|\bcounterfeit\w*|\bfake id\b|\bshoplift\w*|\bsteal\b|\b(?:hack|break) into\b|\bsilencers?\b"
)
"""What no shop helps with."""
NO = re.compile(r"^(?:no|nope|don't|never ?mind|cancel that|stop|leave it|forget it)\b")
OFF_TOPIC = re.compile(
    r"\b(?:what time is it|what day is|poem|joke|song|story|essay|code|python|javascript|homework|capital of|president|translate|lyrics|math|solve|equation|politic\w*|religion|"
    r"medical|diagnos\w*|lawyer|legal advice|stocks?(?= market| price)|bitcoin|crypto|horoscope|recipe for disaster)\b"
)
THIS = re.compile(
    r"\b(?:this(?! (?:week|weekend|month|year|morning|evening|time|summer|winter|spring|autumn|fall|one time)\b)|these|it|its|it's|they|them|that one|those|the (?:item|product|article|one|thing))\b"
)
AND = re.compile(r" (?:, and|,|and|plus|as well as) (?=(?:an?|some|the|two|three|four|five|six|\d+) |[a-z])")
VERB = re.compile(r"^.*?\b(?:add|put|throw|place|toss|need|want|find|show me|looking for|get me|order|buy)\b")
FURTHER = re.compile(
    r",? (?:and|then|also)(?: then| also| please)* (?=(?:find|show|recommend|suggest|search)(?: me)?\b)"
)
"""Where a fact that is to be remembered ends, and an ask that can be nothing else begins."""
ONCE = re.compile(r"^when\b.* , .*\b(?:buy|order|get|take|notify|tell me|let me)\b")
"""`when it costs 200, buy it` asks nothing."""
CONDITION = re.compile(r"^(?:and |but |only )*(?:if|when|once|as soon as|should|after|in case)\b(?! (?:not|so)\b)")
PLACE = re.compile(
    r"\b(?:first|second|third|fourth|fifth|last|number (?:\d|two|three|four|five)|(?:top|bottom|other) one)\b"
)
"""A place among those shown."""
POINTED = re.compile(
    r"(?:and |ok |what about |how about )*(?:the |number |option )?(?:first|second|third|fourth|fifth|last|other|cheapest|cheaper|\d)(?: one)?"
)
"""`the second one , is it in stock`: whom the question behind it means."""
WATCHED = re.compile(r"(?:please )?(?:notify me when|watch|look out for|monitor|follow)\b")
"""`keep an eye on air fryers , tell me when one is below 60`."""
ONCE_OURS = re.compile(
    r"(?:i|we) (?:(?:used to|always|usually|often|once|have) )*(?:buy|bought|order|ordered|get|got|had|use|used|purchased)\b"
)
AGAIN = re.compile(
    r"\b(?:it|them|that|those|some|more)\b.*\b(?:again|more|back)\b|\breorder\b|\bget (?:me |us )?(?:more|some)\b"
)
"""`we used to buy a hazelnut creamer , can you get it again`."""
ANOTHER = re.compile(
    r"(?:and |but |ok |, |not (?:that|this) one ,? ?)*(?:another(?: one)?|something else|(?:any|the) other ones?)|"
    r"(?:and |but |ok |, )*(?:(?:is|are) there |do you have |have you (?:got )?|show me |got |find me |(?:too slow ,? )?what do you have )?(?:any|anything|something|a|an|some|others?|the)? ?"
    r"(?:one |ones |thing )?(?:that )?(?:is |are )?(?:(?:comes|arrives|ships|gets here) (?:faster|sooner)|cheaper|less expensive|better|similar|alternatives?|(?:more|less) [a-z]+|bigger|smaller|larger|lighter|heavier|stronger|warmer|faster|quicker|nicer|newer|sturdier)\b(?: (?:one|ones|alternatives?|options?|here))?"
)
