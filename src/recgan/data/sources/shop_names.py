"""What the simulated shop's brands and products are called.

A title has the brand's name, a word of the product's own, and what the brand makes in its category. So the
words that several products share say which brand it is and of which category, and nothing else. Names come
from a generator of their own: the log is the same whatever things are called.
"""

from itertools import product

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.data.sources.shop_world import Catalogue

KINDS = {
    "shoes": "sneakers|ankle boots|loafers|trail shoes|sandals|brogues|slippers|court shoes",
    "bags": "tote|rucksack|shoulder bag|clutch|messenger bag|satchel|weekender|belt bag",
    "beauty": "face cream|lip balm|hand serum|clay mask|cleansing oil|body butter|eye gel|shampoo bar",
    "shirts": "T-shirt|polo|linen shirt|flannel shirt|vest top|henley|Oxford shirt|denim shirt",
    "grocery": "olive oil case|tea chest|pasta hamper|honey trio|spice chest|nut selection|muesli crate"
    "|jam dozen",
    "dresses": "wrap dress|shift dress|sundress|maxi dress|knit dress|pinafore|shirt dress|tea dress",
    "jewellery": "hoop earrings|pendant|signet ring|bangle|studs|charm bracelet|choker|brooch",
    "coffee": "espresso beans|filter roast|decaf blend|cold brew|ground mocha|single origin|capsules"
    "|house blend",
    "trousers": "chinos|jeans|cargo trousers|joggers|wide-leg trousers|corduroys|culottes|pleated trousers",
    "kitchen": "frying pan|chef's knife|casserole|mixing bowl|kettle|chopping board|grater|stockpot",
    "jackets": "parka|bomber|trench coat|puffer|denim jacket|blazer|windbreaker|fleece",
    "pets": "dog food sack|cat food multipack|cat litter bale|puppy food sack|bird seed sack|hay bale"
    "|dog chews bucket|fish food tub",
    "sports": "yoga mat|dumbbells|skipping rope|kettlebell|resistance band|foam roller|gym towel"
    "|tennis balls",
    "lighting": "table lamp|pendant light|floor lamp|wall light|fairy lights|desk lamp|lantern|spotlight",
    "furniture": "armchair|side table|bookcase|stool|sideboard|bench|nightstand|coffee table",
    "bedding": "duvet cover|pillow|fitted sheet|blanket|quilt|mattress topper|pillowcase|bedspread",
    "garden": "secateurs|watering can|planter|trowel|bird feeder|garden hose|rake|raised bed",
    "tools": "cordless drill|socket set|hammer|spirit level|hand saw|screwdriver set|clamp|sander",
    "toys": "building blocks|plush bear|toy train|jigsaw puzzle|doll|spinning top|kite|marble run",
    "books": "crime novel|cookbook|atlas|short stories|biography|poems|travel guide|picture book",
    "music": "ukulele|vinyl album|harmonica|guitar strings|tambourine|melodica|music stand|kalimba",
    "games": "board game|card game|dice game|strategy game|quiz box|chess set|party game|word game",
    "phones": "smartphone|phone case|charging dock|power bank|screen guard|phone grip|car mount"
    "|travel charger",
    "audio": "headphones|earbuds|bookshelf speaker|soundbar|turntable|microphone|pocket radio|amplifier",
    "cameras": "compact camera|tripod|prime lens|camera strap|film camera|flash|zoom lens|action camera",
    "computers": "laptop|keyboard|monitor|mouse|webcam|docking station|external drive|router",
    "health": "vitamin D|magnesium|fish oil|herbal drops|zinc|multivitamin|plasters|throat lozenges",
    "baby": "nappies|baby wipes|baby porridge|bath foam|muslins|teething biscuits|baby lotion|fruit purée",
    "wine": "Riesling|Pinot Noir|rosé|Merlot|Chardonnay|Tempranillo|sparkling wine|Malbec",
    "stationery": "notebook|fountain pen|planner|marker set|envelopes|sketch pad|sticky notes|pencil box",
    "art": "watercolours|canvas|easel|acrylic set|brush set|charcoal sticks|gouache|linocut kit",
    "watches": "chronograph|dress watch|diving watch|field watch|pilot watch|skeleton watch|solar watch"
    "|nurse watch",
    "fragrance": "eau de parfum|cologne|scented candle|room mist|diffuser|body mist|bath salts|incense",
    "outdoor": "multitool|head torch|dry bag|binoculars|camp knife|compass|rope|thermos",
    "travel": "cabin case|neck cushion|packing cubes|passport wallet|wash bag|luggage scale|duffel|adapter",
    "cycling": "bike lights|helmet|bike lock|saddle|pannier|bib shorts|track pump|bell",
    "swimming": "goggles|swimsuit|swim cap|kickboard|swim shorts|fins|beach towel|snorkel",
    "running": "running tights|pacer shoes|running vest|race belt|arm pocket|hydration pack|singlet"
    "|calf sleeves",
    "fishing": "spinning rod|reel|tackle box|landing net|lure set|waders|fishing line|bite alarm",
    "camping": "dome tent|sleeping bag|camp stove|hammock|cool box|camping chair|roll mat|tarp",
}  # fmt: skip
"""What the brands of a category make, each one of them, parted by bars."""

_BRAND_STARTS = (
    "Hald", "Nor", "Bram", "Ash", "Elm", "Fen", "Thorn", "Wex", "Mar", "Kel", "Lund", "Berg", "Strand",
    "Holm", "Vest", "Quill", "Ridge", "Salt", "Birch", "Hazel", "Raven", "Otter", "Fern", "Alder", "Copper",
    "Silver", "North", "West", "East", "Stone", "Clear", "Bright", "Long", "Heather", "Green", "Glen", "Loch",
    "Dun", "Wind", "Moss",
)  # fmt: skip
_BRAND_ENDS = (
    "wick", "ford", "mere", "ley", "holt", "stead", "field", "well", "brook", "dale", "gate", "combe", "more",
    "haven", "worth", "bury", "by", "ham", "croft", "fell", "shore", "water", "bridge", "garth", "thwaite",
    "moor", "hurst", "lock", "marsh", "crest",
)  # fmt: skip
_SYLLABLES = tuple(a + b for a in "lmnrstvd" for b in "aeio")


def brand_names(n_brands: int, seed: int) -> NDArray[np.object_]:
    """Return a name of one word for each brand, no two alike."""
    names = [start + end for start, end in product(_BRAND_STARTS, _BRAND_ENDS)]
    assert n_brands <= len(names), "more brands than names"
    return np.random.default_rng((seed, 1)).permutation(np.array(names, dtype=object))[:n_brands]


def model_names(n_items: int, seed: int) -> NDArray[np.object_]:
    """Return a word of its own for each product."""
    length = 3
    while len(_SYLLABLES) ** length < n_items:
        length += 1
    drawn = np.random.default_rng((seed, 2)).choice(len(_SYLLABLES) ** length, n_items, replace=False)
    places = drawn[:, None] // len(_SYLLABLES) ** np.arange(length) % len(_SYLLABLES)
    words = ["".join(_SYLLABLES[place] for place in row).capitalize() for row in places.tolist()]
    return np.array(words, dtype=object)


def kind_names(catalogue: Catalogue) -> NDArray[np.object_]:
    """Return what each product is: what its brand makes."""
    kinds = [names.split("|") for names in KINDS.values()]
    per_category = catalogue.brands_per_category
    return np.array(
        [
            kinds[category][brand % per_category % len(kinds[category])]
            for category, brand in zip(catalogue.category, catalogue.brand, strict=True)
        ],
        dtype=object,
    )


def named(catalogue: Catalogue, seed: int) -> tuple[pa.Array, pa.Array]:
    """Return (items,) brands and titles, in the order of the catalogue."""
    brands = brand_names(int(catalogue.brand.max()) + 1, seed)[catalogue.brand]
    models = model_names(len(brands), seed)[catalogue.number]
    titles = brands + " " + models + " " + kind_names(catalogue)
    return pa.array(brands, pa.string()), pa.array(titles, pa.string())
