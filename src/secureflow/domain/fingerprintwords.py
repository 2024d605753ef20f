"""The 256 words in which people compare a charter's fingerprint: one word is one byte.

Short, common, concrete English words that do not sound or look alike; no two begin with the same
four letters, so that a misheard word is not taken for another. The order is part of the format.
"""

from __future__ import annotations

_TEXT = """
acorn actor album amber anchor angel apple april arrow artist atlas autumn avenue badge bagel
balcony bamboo barrel basket beacon beaver bicycle blanket blossom bottle bracelet bread bridge
bronze bubble bucket buffalo butter cabin cactus camel candle canyon carbon castle cedar cello
chalk cherry chimney cinema circus clock cloud cobalt coconut coffee comet copper coral cotton
cousin crane crystal curtain cushion daisy dancer danger decade desert diamond dinner doctor
dolphin donkey dragon drawer drum eagle earth echo editor elephant eleven emerald engine equator
evening fabric falcon family farmer feather fiddle finger flame flute forest fossil fountain
frozen galaxy garden garlic gazelle ghost ginger giraffe glacier globe gravel guitar hammer harbor
harvest hazel helmet hermit hockey honey horizon hotel hunter igloo insect island ivory jacket
jaguar jasmine jelly jigsaw jungle kangaroo kettle kitchen kiwi koala ladder lagoon lantern lemon
leopard library lizard lobster lotus lunch magnet mango maple marble meadow melon mercury mirror
monkey morning mosaic museum napkin needle nickel north nugget oasis ocean olive onion opera
orange orchid ostrich otter oxygen oyster paddle palace panda paper parrot peach pebble pelican
pepper piano picnic pilot planet pocket poem polar potato pumpkin puzzle quartz queen rabbit radar
raven ribbon river robot rocket rooster ruby saddle salmon sandal satin scarf school senator
shadow shell silver singer sketch snow socks spider spoon spring squirrel stable statue summer
sunset swan tablet teacher temple thunder ticket tiger timber tomato tower tractor trumpet tulip
turtle umbrella uncle unicorn valley vanilla velvet violin volcano voyage walnut water whale
window winter wizard yellow yogurt zebra
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
