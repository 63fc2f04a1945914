"""From a stamp's English caption to a short name, without articles, subtitles and exclamations."""
import re

MOST_WORDS = 4  # longer captions are sentences, not names
MOST_CAPTION_WORDS = 9

# Names for pictures whose caption is a joke, a remark or a proper name. Path (without ending) -> name.
NAME_OF_PATH = {
    "animals/birds/albino_peahen": "peahen",
    "animals/birds/cartoon/pengwin": "penguin",
    "animals/birds/cartoon/tux": "penguin",
    "animals/fish/bluegroper": "blue groper",
    "animals/fish/dolphinfish": "dolphinfish",
    "animals/fish/lionfish": "lionfish",
    "animals/fish/lobster": "lobster",
    "animals/insects/hoverfly": "hoverfly",
    "animals/mammals/bovines/gnu-baby": "gnu",
    "animals/mammals/bovines/gnu-baby-stand": "gnu",
    "food/fruit/avocado": "avocado",
    "food/fruit/cherimoya": "cherimoya",
    "food/fruit/cartoon/grapes": "grapes",
    "food/fruit/grapes": "grapes",
    "food/fruit/orange_seville": "seville orange",
    "food/nuts/walnut_shelled": "walnut",
    "food/pizza": "pizza",
    "food/spices/ginger": "ginger",
    "food/vegetables/broccoli": "broccoli",
    "food/vegetables/corn": "corn",
    "food/vegetables/garlic": "garlic",
    "food/vegetables/garlics": "garlic",
    "food/vegetables/lettuce": "lettuce",
    "food/vegetables/redlettuce": "lettuce",
    "food/vegetables/tomato": "tomato",
    "household/tools/measuring_tape": "measuring tape",
    "household/tools/plyers": "pliers",
    "household/arttools/scissors_small_closed": "scissors",
    "household/arttools/scissors_small_open": "scissors",
    "military/vehicles/bradley": "tank",
    "military/vehicles/f22_raptor": "fighter jet",
    "military/vehicles/infantry-stryker": "armoured car",
    "plants/flowers/adeenia": "desert rose",
    "plants/flowers/anthoorium": "anthurium",
    "plants/flowers/appooppanthady": "milkweed",
    "plants/flowers/bolsom": "balsam",
    "plants/flowers/chemparathi": "hibiscus",
    "plants/flowers/flower10": "hibiscus",
    "plants/flowers/flower9": "flower",
    "plants/flowers/pigface": "pigface",
    "plants/lavender": "lavender",
    "plants/thyme": "thyme",
    "plants/lettuce_bolted": "lettuce",
    "plants/eggplant": "eggplant",
    "plants/trees/birch": "birch tree",
    "plants/trees/holm_oak": "oak tree",
    "plants/trees/rambutan": "tree",
    "seasonal/christmas/Christmas_pudding": "pudding",
    "seasonal/christmas/Mince_Pie": "pie",
    "seasonal/christmas/Roast_turkey": "roast turkey",
    "seasonal/easter/bunny": "bunny",
    "seasonal/newyears/party-hat": "party hat",
    "clothes/t_pants": "pants",
    "town/cartoon/ruins": "castle",
    "town/houses/cartoon/blacksmith": "blacksmith shop",
    "town/houses/cartoon/cathedral": "cathedral",
    "town/houses/cartoon/hunter": "house",
    "town/houses/cartoon/townhall": "town hall",
    "town/houses/cartoon/tower_flag_red": "tower",
    "town/houses/cartoon/tower_round_flag": "tower",
    "town/monuments/cartoon/eiffel_tower": "tower",
    "vehicles/auto/beetle": "car",
    "vehicles/auto/sedan": "car",
    "vehicles/construction/dumper": "truck",
    "vehicles/farming/cartoon/tux_tractor": "tractor",
    "vehicles/flight/cartoon/eddieCopter": "helicopter",
    "vehicles/flight/planes/cartoon/plane": "airplane",
    "vehicles/locomotive/cartoon/boxcar": "boxcar",
    "vehicles/locomotive/cartoon/caboose": "caboose",
    "vehicles/locomotive/cartoon/carriage": "carriage",
    "vehicles/locomotive/cartoon/tanker": "tanker",
    "vehicles/locomotive/cartoon/tender": "tender",
    "vehicles/locomotive/cartoon/toy_train": "train",
    "vehicles/ship/cartoon/bathyscape": "submarine",
    "vehicles/ship/cartoon/tugboat": "boat",
    "vehicles/ship/walnutBoat": "boat",
}

# Names whose last word alone says something else, and names better known by another word.
WHOLE_NAMES = {"sea lion", "guinea fowl", "helmeted guinea fowl", "measuring tape", "town hall",
               "blacksmith shop", "roast turkey", "fighter jet", "floor tom drum", "drum kit"}
NOUN_OF_NAME = {"helmeted guinea fowl": "guinea fowl", "floor tom drum": "drum", "emperor tamarin": "tamarin",
                "adelaide rosella": "parrot", "rainbow lorikeet": "parrot", "silver gull": "seagull",
                "mountaingoat": "mountain goat", "plumber's wrench": "wrench", "mandarin orange": "orange",
                "t shirt": "shirt", "blue fedora": "hat", "green fedora": "hat", "apple core": "apple",
                "lemon slice": "lemon"}

# Sets of words that can be used of the same picture; one is never asked about where another is present.
SAME_THING = [
    {"chicken", "hen", "rooster", "chick"}, {"duck", "drake"}, {"goose", "gander"}, {"peacock", "peahen"},
    {"ostrich", "rhea"}, {"parrot", "toucan"}, {"crow", "blackbird", "magpie"},
    {"rabbit", "bunny"}, {"deer", "doe", "caribou", "wapiti", "blackbuck"}, {"sheep", "ram", "lamb", "goat"},
    {"cow", "bull", "bison", "yak", "zebu", "gnu"}, {"goat", "mountain goat"}, {"horse", "donkey", "zebra"},
    {"camel", "dromedary"}, {"dog", "dingo", "fox"}, {"mouse", "rat"}, {"whale", "orca", "dolphin"},
    {"ferret", "badger", "otter"}, {"marmot", "beaver", "capybara"}, {"hedgehog", "echidna"},
    {"bee", "hornet", "hoverfly", "fly"}, {"xanthia", "butterfly"},
    {"apricot", "peach", "mango", "prune"}, {"orange", "lime", "lemon"}, {"potato", "yam"},
    {"pumpkin", "squash"}, {"pie", "pudding", "cake"}, {"pecan", "walnut"}, {"turkey", "roast turkey"},
    {"violin", "cello"}, {"drum", "drum kit", "cymbal"}, {"hammer", "mallet"},
    {"castle", "fort", "fortress", "tower"}, {"car", "sedan", "truck", "tank", "armoured car"},
    {"airplane", "fighter jet"}, {"boat", "ship", "submarine"},
    {"train", "boxcar", "caboose", "carriage", "tanker", "tender", "locomotive"},
    {"dumper", "truck", "tractor"},
]
# Words that are true of many pictures of their kind: not used for absences beside that kind.
GENERIC_NOUNS = {"flower", "tree", "fish", "house", "tower", "castle", "hat", "cap", "shirt", "car", "truck",
                 "train", "plant", "building", "cottage", "inn", "tavern", "warehouse", "stable", "home", "shop"}

LEADING = re.compile(r"^(an?|the|some|two|our|one)\s+|^(pair|bunch|cluster|head|slice|string) of\s+")


def normalise(caption: str) -> str:
    """Lower case, plain quotes, only the first sentence, without brackets and quotation marks."""
    text = caption.lower().replace("’", "'")
    text = re.sub(r"\(.*?\)|[“”\"]", "", text)
    text = re.split(r"[.!?;:,—–]", text)[0]
    return re.sub(r"\s+", " ", text).strip(" '")


def name_of(caption: str, path: str) -> str | None:
    """"A pair of closed scissors." -> "closed scissors"; None when the caption is a sentence."""
    curated = NAME_OF_PATH.get(path.removesuffix(".png"))
    if curated:
        return curated
    name = normalise(caption)
    while LEADING.search(name):
        name = LEADING.sub("", name)
    is_name = name and len(name.split()) <= MOST_WORDS and re.fullmatch(r"[a-z' -]+", name)
    return name if is_name else None


def noun_of(name: str) -> str:
    """The word for the thing: "great blue heron" -> "heron"."""
    if name in NOUN_OF_NAME:
        return NOUN_OF_NAME[name]
    return name if name in WHOLE_NAMES else name.split()[-1]


def caption_of(caption: str, path: str) -> str | None:
    """One short sentence that describes the picture, or None."""
    curated = NAME_OF_PATH.get(path.removesuffix(".png"))
    if curated:
        return with_article(curated).capitalize() + "."
    text = re.sub(r"\s*\(.*?\)", "", caption)
    text = re.split(r"(?<=[.!?])\s|[.!]|—| [–-] ", text)[0].strip()
    describes = (re.match(r"(An?|The|Some|Two) ", text) and " means " not in text and
                 len(text.split()) <= MOST_CAPTION_WORDS)
    return text + "." if describes else None


# No "a" before these.
PLURAL_OR_MASS = {"scissors", "pliers", "pants", "grapes", "lettuce", "broccoli", "corn", "garlic", "ginger", "pizza",
                  "lavender", "thyme", "milkweed", "balsam", "roast turkey"}


def with_article(noun: str) -> str:
    if noun in PLURAL_OR_MASS:
        return noun
    return ("an " if noun[0] in "aeiou" and not noun.startswith(("uni", "eu")) else "a ") + noun


def may_be_the_same(noun: str, other: str) -> bool:
    """Whether a picture of `other` could rightly be called `noun`, or the reverse."""
    if noun in other or other in noun:
        return True
    return any(noun in same and other in same for same in SAME_THING)
