"""Word lists and small grammars of our own, from which every synthetic text is made.

A sentence is a pure function of one 64-bit draw: its bits choose the pattern and the words. So a text needs
no state, and the same draws give the same text on every machine.
"""

from collections.abc import Sequence


def _words(text: str, separator: str = " ") -> list[str]:
    return text.split(separator)


ADJECTIVES = _words(
    "amber ancient bitter blue brisk broken calm careful cheap clever cold copper crooked curious damp "
    "dusty eager early faint fierce forgotten fragile gentle golden green grey heavy hidden hollow "
    "honest humble idle iron jagged keen late lively lonely loud mild narrow nimble noisy odd old "
    "painted pale patient plain polished quiet rapid rusty sharp silent simple slow steady sturdy tall "
    "thin weathered wooden young"
)
NOUNS = _words(
    "acrobat anchor apricot archive baker barrel basket beacon bicycle blanket bridge cabinet candle "
    "carpenter chimney clock compass cradle curtain dancer engine farmer feather ferry finch fountain "
    "garden glacier hammer harbour hedgehog journal kettle ladder lantern ledger library lighthouse "
    "locksmith map market meadow merchant mirror needle orchard painter parcel pigeon pilot quarry "
    "ribbon river sailor saddle shepherd sparrow teacher telescope tractor umbrella violin wagon windmill"
)
VERBS = _words(
    "admired approached avoided balanced blamed borrowed bought carried checked cleaned collected "
    "compared copied counted covered crossed defended described drew emptied examined exchanged feared "
    "filled followed found greeted guarded guided helped hid ignored inspected joined kept lifted "
    "measured mended missed moved noticed opened ordered outlived packed photographed planned preferred "
    "pulled questioned recognised refused remembered repaired replaced rescued sketched sold studied "
    "surprised trusted visited watched weighed"
)
PLACES = _words(
    "the abbey|the aqueduct|the attic|the bakery|the barn|the bay|the beach|the bell tower|the border|"
    "the bus station|the canal|the castle|the cellar|the clinic|the coast|the corner shop|the courtyard|"
    "the crossroads|the dam|the dock|the east gate|the factory|the fairground|the ferry pier|the forge|"
    "the forest|the guest house|the hill|the hospital|the ice rink|the inn|the island|the jetty|"
    "the kitchen|the lake|the laundry|the lower town|the mill|the mine|the monastery|the museum|"
    "the north wall|the observatory|the old quarter|the palace|the park|the pass|the plaza|"
    "the post office|the railway|the reservoir|the ridge|the school|the square|the stables|the stadium|"
    "the summit|the terrace|the theatre|the town hall|the tunnel|the valley|the vineyard|the workshop",
    separator="|",
)
TIMES = _words(
    "after breakfast|after the storm|all night|all summer|at dawn|at dusk|at low tide|at midnight|"
    "at noon|before lunch|before sunrise|before the war|by accident|by candlelight|by chance|"
    "by moonlight|during the feast|during the flood|during the strike|each morning|every autumn|"
    "every evening|every other week|for a decade|for a fortnight|for an hour|for three days|for years|"
    "in a hurry|in April|in August|in good weather|in heavy rain|in January|in July|in June|"
    "in late spring|in March|in May|in November|in October|in secret|in September|in silence|in the dark|"
    "in the fog|in winter|last Friday|last Monday|last year|on a Sunday|on market day|on the way home|"
    "on Thursdays|once a month|over the weekend|that afternoon|the next day|the other week|this time|"
    "twice a year|until spring|while it snowed|without a word",
    separator="|",
)
NAMES = _words(
    "Ada Agnes Amir Anouk Arlo Asha Basil Bea Boris Carmen Cedric Chloe Dara Dimitri Edith Elio Esme "
    "Fabian Farah Felix Fleur Greta Hana Hugo Ida Imran Ines Ivo Jonas Juno Kaito Karim Lena Leo Lina "
    "Lotte Mabel Malik Mara Milo Nadia Nils Nora Olga Omar Oscar Pia Priya Quentin Rafael Ravi Rosa "
    "Ruben Sana Selma Silas Sofia Tariq Thea Tomas Uma Viktor Wanda Yara"
)

_PATTERNS = (
    "The {0} {1} {2} the {3} {4} near {5} {6}.",
    "{7} says that the {0} {1} {2} a {3} {4} at {5} {6}.",
    "Near {5}, {7} and the {1} {2} the {3} {4} {6}.",
    "Nobody knew why the {0} {1} {2} {7}'s {4} behind {5} {6}.",
    "{7} once {2} the {0} {1} and its {3} {4} by {5} {6}.",
    "It was the {0} {1} that {2} {8} of the {3} {4}s close to {5} {6}.",
    "When {7} reached {5}, the {0} {1} {2} its {3} {4} {6}.",
    "Of {8} {1}s, only the {0} one {2} the {3} {4} beside {5} {6}.",
)

# The languages other than English, each with three short lists and an order of words.
_OTHER = {
    "German": (
        "Der {0} {1} den {2} mit {3} Leuten am {4}. Tag.",
        _words("Bäcker Lehrer Müller Vogel Nachbar Maler Gärtner Kapitän"),
        _words("sieht findet hört kauft zeichnet bewacht öffnet sucht"),
        _words("Garten Brunnen Koffer Spiegel Schlüssel Turm Löffel Mantel"),
    ),
    "French": (
        "Le {0} {1} le {2} avec {3} amis au jour {4}.",
        _words("boulanger berger pêcheur voisin garçon médecin forgeron élève"),
        _words("regarde répare achète dessine garde préfère déplace mesure"),
        _words("château marché jardin chapeau tableau bateau miroir fenêtre"),
    ),
    "Spanish": (
        "El {0} {1} el {2} con {3} amigos el día {4}.",
        _words("panadero niño pastor vecino médico señor capitán pintor"),
        _words("mira repara compra dibuja guarda prefiere mueve mide"),
        _words("jardín espejo sombrero barco mercado balcón cajón puente"),
    ),
    "Chinese": (
        "第{4}天{0}和{3}个朋友一起{1}{2}。",
        _words("老师 医生 农夫 船长 邻居 画家 木匠 学生"),
        _words("看见 修理 买下 画出 守着 喜欢 搬走 测量"),
        _words("花园 镜子 灯笼 小船 市场 书桌 石桥 窗户"),
    ),
}
LANGUAGES = tuple(_OTHER)


def sentence(draw: int) -> str:
    """One English sentence of 8 to 16 words; 2**51 and more different ones."""
    return _PATTERNS[draw & 7].format(
        ADJECTIVES[(draw >> 3) & 63],
        NOUNS[(draw >> 9) & 63],
        VERBS[(draw >> 15) & 63],
        ADJECTIVES[(draw >> 21) & 63],
        NOUNS[(draw >> 27) & 63],
        PLACES[(draw >> 33) & 63],
        TIMES[(draw >> 39) & 63],
        NAMES[(draw >> 45) & 63],
        2 + ((draw >> 51) & 1023),
    )


def paragraph(draws: Sequence[int]) -> str:
    """One sentence for each draw, joined by spaces."""
    return " ".join(map(sentence, draws))


def sentence_in(language: str, draw: int) -> str:
    """One sentence in English or in one of `LANGUAGES`."""
    if language == "English":
        return sentence(draw)
    pattern, subjects, verbs, objects = _OTHER[language]
    return pattern.format(
        subjects[draw & 7],
        verbs[(draw >> 3) & 7],
        objects[(draw >> 6) & 7],
        2 + ((draw >> 9) & 4095),
        1 + ((draw >> 21) & 65535),
    )


def title(draw: int) -> str:
    """A few words, as of a headline."""
    place = PLACES[(draw >> 12) & 63].removeprefix("the ")
    return f"The {ADJECTIVES[draw & 63]} {NOUNS[(draw >> 6) & 63]} of {place}"
