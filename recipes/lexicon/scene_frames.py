"""Sentences in which things of a kind occur, by the number of WordNet's file of nouns.

{what} is the definition with its article, {one} the word with it, {word} and {words} the bare word
and its plural, {kind} the more general term; ` / ` parts sentences. What it is stands first.
"""

from __future__ import annotations

__all__ = ["ANYTHING", "FRAMES"]

ANYTHING = (
    "{what}: people call it {one}, and they know {words} when they meet them",
    "by {word} they meant {what}, and of this {word} they went on to speak",
    "it was {what}, and so the word that she chose was {word}",
    "think of {what}. / That is {one}",
    "the talk was of {what}. / Everybody had something to say about the {word}",
)

FRAMES: dict[int, tuple[str, ...]] = {
    4: (
        "what they did was {what}. / The {word} took up most of the day",
        "after {what}, nobody wanted another {word}",
    ),
    5: (
        "in the zoo there was {what}, and the sign said that this {word} was a kind of {kind}",
        "we watched {what} for an hour. / Then the {word} was gone",
        "the animal was {what}; the young of the {word} stayed close to it",
        "biologists have studied {what}, and they counted the {words} that were left",
    ),
    6: (
        "the workers needed {what}, so they brought the {word}",
        "in the workshop stood {what}. / The {word} had been made long ago",
        "they built {what}, and when the {word} was ready they tried it",
        "the museum shows {what}, the oldest {word} in the country",
    ),
    7: (
        "what she had was {what}, and for this {word} they admired her",
        "one could see {what}. / The {word} of it was plain to all",
    ),
    8: (
        "the doctor looked at {what}. / The {word} was healthy",
        "in the body there is {what}, and the {word} has its own work to do",
    ),
    9: (
        "in his mind there was {what}. / The {word} would not leave him",
        "scholars think of {what} when they write about the {word}",
    ),
    10: (
        "on the page they read {what}, and they read the {word} again",
        "the newspaper printed {what}. / The {word} was read by everybody",
        "what was said or written was {what}; it was a good {word}",
    ),
    11: (
        "what happened was {what}. / People remembered the {word} for years",
        "that night there was {what}, and after the {word} all was quiet",
    ),
    12: ("she felt {what}, and the {word} did not leave her", "what he felt was {what}: {word}"),
    13: (
        "for dinner the cook made {what}, and they ate the {word} with bread",
        "on the table there was {what}. / The {word} tasted very good",
        "the restaurant is known for {what}; people ask for the {word}",
        "in the kitchen they tasted {what}, and the recipe of that {word} is old",
    ),
    14: (
        "the people formed {what}, and the {word} met every week",
        "the members belong to {what}. / The {word} was founded many years ago",
        "the company of people was {what}; whoever joined the {word} had to pay",
    ),
    15: (
        "the travellers came to {what}. / The {word} lay before them",
        "on the map there is {what}, and the {word} is marked in red",
    ),
    16: ("what moved him was {what}. / The {word} was strong",),
    17: (
        "in the landscape there is {what}, and the {word} can be seen from far away",
        "geologists came to {what}. / They measured the {word}",
        "near the river we saw {what}; the {word} was wet with rain",
    ),
    18: (
        "the person that everybody spoke of was {what}. / In the end the {word} was found",
        "for years he had been {what}, and nobody knew that he was {one}",
        "she met {what}, and the {word} told her his story",
        "they suspected that one of them was {what}: {one}",
        "he worked as {what}. / As {one} he was well known",
    ),
    19: (
        "in nature one may observe {what}. / The {word} can be measured",
        "that day there was {what}, and the {word} lasted for hours",
    ),
    20: (
        "in the garden grows {what}, and in summer the {word} is in flower",
        "botanists know {what}. / The leaves of the {word} are green",
        "the farmer planted {what}, and after three years the {word} stood high",
    ),
    21: (
        "he owned {what}. / The {word} was worth a lot of money",
        "the money was {what}, and the {word} was paid at last",
    ),
    22: ("what goes on is {what}, and the {word} takes its time",),
    23: (
        "they measured {what}. / It came to three {words}",
        "in the laboratory the amount was given in {words}, where {one} is {what}",
    ),
    24: ("between the two there was {what}, and the {word} could be seen",),
    25: (
        "the pupils drew {what} on paper, and the {word} was drawn well",
        "its form was {what}. / Such {one} is easy to draw",
    ),
    26: (
        "for a long time there was {what}, and the {word} did not pass",
        "the patient was in {what}; the {word} had begun in spring",
    ),
    27: (
        "the chemist had {what} in a glass, and weighed the {word}",
        "the material was {what}. / The {word} was sold by the pound",
    ),
    28: (
        "the time was {what}. / Every {word} seemed short to them",
        "they waited for {what}, and when the {word} had come they went",
    ),
}
