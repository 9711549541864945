"""What the dictionary's abbreviations stand for, and which authors are too old to learn from."""

from __future__ import annotations

import re

__all__ = ["ACCENTS", "DOMAINS", "OLD_AUTHORS", "SHORT"]

ACCENTS = {
    "ae": "ae", "AE": "Ae", "oe": "oe", "OE": "Oe", "'e": "é", "`e": "è", "^e": "ê", '"e': "ë",
    "'a": "á", "`a": "à", "^a": "â", "aum": "ä", '"a': "ä", "'o": "ó", "^o": "ô", '"o': "ö",
    "'u": "ú", "^u": "û", '"u': "ü", "uum": "ü", "'i": "í", "^i": "î", '"i': "ï", "~n": "ñ",
    ",c": "ç", "'E": "É", "eth": "th", "thorn": "th", "deg": " degrees", "pounds": "£ ", "=a": "a",
    "=e": "e", "=i": "i", "imac": "i", "=o": "o", "=u": "u", "a^": "a", "e^": "e", "i^": "i",
    "o^": "o", "u^": "u", "y^": "y", ".a": "a", "~e": "e", "frac12": "1/2", "frac14": "1/4",
    "frac34": "3/4", "alpha": "alpha", "beta": "beta", "asl": "a", "ng": "ng", "oum": "ö",
}  # fmt: skip

DOMAINS = {
    "Zool.": "zoology", "Bot.": "botany", "Chem.": "chemistry", "Med.": "medicine",
    "Anat.": "anatomy", "Naut.": "seafaring", "Min.": "mineralogy", "Biol.": "biology",
    "Mus.": "music", "Arch.": "architecture", "Mil.": "the military", "Physiol.": "physiology",
    "Math.": "mathematics", "Astron.": "astronomy", "Geol.": "geology", "Mach.": "machinery",
    "Geom.": "geometry", "Her.": "heraldry", "Elec.": "electricity", "Gram.": "grammar",
    "Eccl.": "the church", "Mech.": "mechanics", "Paleon.": "paleontology", "Surg.": "surgery",
    "Print.": "printing", "Physiol. Chem.": "biochemistry", "R. C. Ch.": "the Catholic church",
    "Ethnol.": "ethnology", "Eccl. Hist.": "church history", "Fort.": "fortification",
    "Com.": "commerce", "Rhet.": "rhetoric", "Theol.": "theology", "Metal.": "metallurgy",
    "Opt.": "optics", "Far.": "farriery", "Crystallog.": "crystallography", "Law": "law",
    "Rom. Antiq.": "ancient Rome", "Carp.": "carpentry", "Photog.": "photography",
    "Metaph.": "philosophy", "Script.": "scripture", "Paint.": "painting", "Pros.": "prosody",
    "Gr. Antiq.": "ancient Greece", "Alg.": "algebra", "Gun.": "gunnery", "Engin.": "engineering",
    "Agric.": "farming", "Phon.": "phonetics", "Nat. Hist.": "natural history", "Logic": "logic",
    "Class. Myth.": "classical myth", "Astrol.": "astrology", "Eng. Hist.": "English history",
    "Hort.": "gardening", "Geog.": "geography", "Bot. & Zool.": "biology", "Law.": "law",
    "Meteor.": "meteorology", "Arith.": "arithmetic", "Philos.": "philosophy", "Myth.": "myth",
    "Man.": "horsemanship", "Pharm.": "pharmacy", "Phys. Geog.": "geography", "Physics": "physics",
    "Surv.": "surveying", "Philol.": "philology", "Polit. Econ.": "economics",
    "Aerospace": "aerospace",
    "Gr. Myth.": "Greek myth", "Biochem.": "biochemistry", "Psychol.": "psychology",
    "Mining": "mining", "Mining.": "mining", "Phys.": "physics", "Computers": "computing",
    "Cookery": "cookery", "Baseball": "baseball", "Football": "football", "Golf": "golf",
    "Sport": "sport", "Finance": "finance", "Stock Exchange": "the stock exchange",
    "Railroad": "railways", "Steam Engine": "steam engines", "Billiards": "billiards",
    "Chess": "chess", "Card Playing": "card games", "Hunting": "hunting", "Weaving": "weaving",
    "Bookbinding": "bookbinding", "Jewelry": "jewelry", "Fishing": "fishing", "Law & Com.": "law",
    "Banking": "banking", "Telegraphy": "telegraphy", "Forestry": "forestry",
    "Politics": "politics",
}  # fmt: skip

OLD_AUTHORS = (
    "Shak", "Chaucer", "Spenser", "Milton", "Piers Plowman", "Wyclif", "Gower", "Bacon",
    "Sir T. Browne", "Dryden", "Drayton", "Holland", "Fuller", "Beau", "Jer. Taylor", "Robert of",
    "Rom. of R", "Fairfax", "Sir P. Sidney", "Ld. Berners", "Latimer", "Udall", "Hooker", "Chapman",
    "Sir T. More", "Hakluyt", "Bp. Hall", "Caxton", "Massinger", "Evelyn", "Palsgrave", "Lydgate",
    "Tyndale", "Marlowe", "Tusser", "Herrick", "Cotgrave", "Hudibras", "Burton", "Sandys", "Barrow",
    "Sir W. Raleigh", "Holinshed", "Occleve", "Prior", "Fabyan", "Donne", "Quarles", "Bible",
    "P. Plowman", "Ascham", "Sir T. Elyot", "Marston", "Stow", "Ormulum", "Skelton", "Cowley",
    "Layamon", "Foxe", "Ps.", "Gen.", "Matt.", "Luke", "John", "Isa.", "Job", "Prov.", "Ex.",
    "Deut.", "South", "B. Jonson",
    "Kings", "Sam.", "Jer.", "Ezek.", "Cor.", "Acts", "Rom.", "Heb.", "Mark", "Lev.", "Num.",
    "Mandeville", "Trevisa", "Surrey", "Warner", "Daniel", "Heywood", "Howell", "Feltham", "Camden",
    "Clarendon", "Boyle", "Ray", "Grew", "Hammond", "Jonson", "Sylvester", "Ld. Herbert", "Pope",
)  # fmt: skip

SHORT = [
    (re.compile(rf"\b{short}"), full)
    for short, full in (
        (r"[Ee]sp\.", "especially"), (r"[Ss]pecif\.", "specifically"), (r"i\. ?e\.,?", "that is,"),
        (r"e\. ?g\.,?", "for example"), (r"cf\.", "compare"), (r"usu\.", "usually"),
        (r"U\. S\.", "United States"), (r"sing\.", "singular"), (r"pl\.", "plural"),
        (r"A\. D\.", "AD"), (r"B\. C\.", "BC"), (r"fr\.", "from"), (r"viz\.,?", "namely"),
        (r"opp\. to", "opposed to"), (r"abbrev\.", "abbreviation"), (r"orig\.", "originally"),
    )
]  # fmt: skip
