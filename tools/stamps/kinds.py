"""The curated facts about the Tux Paint stamps: what kind of thing each folder shows, and how kinds are spoken of.

A kind is chosen so that a person would name it from the picture alone. What is ambiguous ("two wild boars" is
one stamp but two animals, a tent is hardly a building) has no kind: it only appears with its caption in stage 1.
"""

# kind: (in "Is there ...?", after "the", after "How many")
KINDS = {
    "animal": ("an animal", "animal", "animals"),
    "bird": ("a bird", "bird", "birds"),
    "insect": ("an insect", "insect", "insects"),
    "food": ("any food", "food", "pieces of food"),
    "plant": ("a plant", "plant", "plants"),
    "building": ("a building", "building", "buildings"),
    "vehicle": ("a vehicle", "vehicle", "vehicles"),
    "sign": ("a sign", "sign", "signs"),
    "clothing": ("any clothing", "piece of clothing", "pieces of clothing"),
    "tool": ("a tool", "tool", "tools"),
    "instrument": ("an instrument", "instrument", "instruments"),
    "coin": ("a coin", "coin", "coins"),
    "letter": ("a letter", "letter", "letters"),
}

# A bird is an animal too, and signs and coins bear letters: where one of these could be meant, it is not asked.
INCLUDED_KINDS = {"animal": {"bird", "insect"}, "letter": {"sign", "coin"}}

# The kinds nearest to each kind, for adversarial absences.
NEAR_KINDS = {
    "animal": ["bird", "insect"],
    "bird": ["insect"],
    "insect": ["bird"],
    "food": ["plant"],
    "plant": ["food"],
    "building": ["vehicle", "sign"],
    "vehicle": ["building", "sign"],
    "sign": ["coin", "building"],
    "clothing": ["tool", "instrument"],
    "tool": ["instrument", "clothing"],
    "instrument": ["tool", "clothing"],
    "coin": ["sign", "tool"],
    "letter": ["sign", "coin"],
}

# These read differently in a mirror, or are recognised by their upright position.
UPRIGHT_KINDS = {"letter", "sign", "coin"}

# Drawn from one another though neither captions nor file names tell: near-duplicates for the split.
LOOK_ALIKES = [{"clothes/t_poloshirt.png", "clothes/t_tshirt.png", "clothes/t_shirt.png"}]

# A coin is called a coin: captions of these are about money, alphabets and traffic.
NAMED_BY_KIND = {"coin", "letter", "sign"}

# Path prefix below the stamps' root -> kind; the first match counts, no match means no kind.
KIND_OF_PATH = [
    ("animals/birds/cartoon/penguin_with_spider", None),
    ("animals/birds/", "bird"),
    ("animals/insects/Brown_slug", None),
    ("animals/insects/Woodlouse", None),
    ("animals/insects/cartoon/snail", None),
    ("animals/insects/cartoon/spider", None),
    ("animals/insects/cartoon/wings", None),
    ("animals/insects/", "insect"),
    ("animals/dinosaur/", None),
    ("animals/shellfish/", None),
    ("animals/mammals/wildboar", None),
    ("animals/mammals/bears/cartoon/", None),
    ("animals/mammals/bears/toys/", None),
    ("animals/mammals/cats/cartoon/", None),
    ("animals/", "animal"),
    ("food/fruit/Cherry_Stella", None),
    ("food/fruit/cartoon/cherries", None),
    ("food/fruit/cartoon/blueberry", None),
    ("food/", "food"),
    ("plants/mushrooms/", None),
    ("plants/flowers/flower4", None),
    ("plants/flowers/flower7", None),
    ("plants/trees/pinecone", None),
    ("plants/trees/holly_leaves", None),
    ("plants/", "plant"),
    ("town/houses/cartoon/cave_entrance", None),
    ("town/houses/cartoon/circus", None),
    ("town/houses/cartoon/city.", None),
    ("town/houses/cartoon/cityhouse", None),
    ("town/houses/cartoon/farm", None),
    ("town/houses/cartoon/fishery", None),
    ("town/houses/cartoon/medieval_tent", None),
    ("town/houses/cartoon/tent", None),
    ("town/houses/cartoon/tepee", None),
    ("town/houses/", "building"),
    ("town/cartoon/ruins", "building"),
    ("town/cartoon/watch_tower", "building"),
    ("town/monuments/cartoon/eiffel_tower", "building"),
    ("town/monuments/cartoon/pyramid", "building"),
    ("town/roadsigns/railroad_crossing", None),
    ("town/roadsigns/stoplight", None),
    ("town/roadsigns/traffic_cone", None),
    ("town/roadsigns/", "sign"),
    ("vehicles/7spoke256", None),
    ("vehicles/wheel_tractor", None),
    ("vehicles/emergency/sedan_police", None),
    ("vehicles/farming/cartoon/tux_tractor", None),
    ("vehicles/locomotive/cartoon/trainSign", None),
    ("vehicles/", "vehicle"),
    ("military/vehicles/ww2_german_gun", None),
    ("military/vehicles/", "vehicle"),
    ("clothes/button", None),
    ("clothes/clothespin", None),
    ("clothes/armor/", None),
    ("clothes/", "clothing"),
    ("household/tools/cementmixer", None),
    ("household/tools/toolbox", None),
    ("household/tools/", "tool"),
    ("household/arttools/scissors", "tool"),
    ("hobbies/music/", "instrument"),
    ("symbols/money/00_symbols/", None),
    ("symbols/money/", "coin"),
    ("symbols/alphabets/asl/", None),
    ("symbols/alphabets/", "letter"),
    ("seasonal/easter/bluebird", "bird"),
    ("seasonal/easter/chick.", "bird"),
    ("seasonal/easter/bunny.", "animal"),
    ("seasonal/easter/butterfly", "insect"),
    ("seasonal/easter/daffodil", "plant"),
    ("seasonal/halloween/bat_left", "animal"),
    ("seasonal/halloween/blackcat", "animal"),
    ("seasonal/christmas/Christmas_Tree_photo", "plant"),
    ("seasonal/christmas/tree", "plant"),
    ("seasonal/christmas/Christmas_pudding", "food"),
    ("seasonal/christmas/Mince_Pie", "food"),
    ("seasonal/christmas/Roast_turkey", "food"),
    ("seasonal/christmas/santahat", "clothing"),
    ("seasonal/christmas/stocking", "clothing"),
    ("seasonal/newyears/party-hat", "clothing"),
]


def kind_of_path(path: str) -> str | None:
    for prefix, kind in KIND_OF_PATH:
        if path.startswith(prefix):
            return kind
    return None
