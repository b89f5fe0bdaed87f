"""What a recipe says about which tasks have one right answer."""

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from chaffinch.recipe.source import Strict, Texts

TaskLabel = Literal["exact_match", "generation"]

CLOSED = (
    "yes,no,maybe,true,false,correct,incorrect,right,wrong,valid,invalid,positive,negative,neutral,pos,neg,mixed,"
    "entailment,contradiction,entails,contradicts,a,b,c,d,e,f,0,1,2,3,4,5,acceptable,unacceptable,toxic,not toxic,"
    "offensive,not offensive,hate,non-hate,similar,not similar,equivalent,not equivalent,duplicate,not duplicate,"
    "related,unrelated"
).split(",")


class LabelFile(Strict):
    """A YAML file of tasks and their labels, under the data folder."""

    file: str


class Label(Strict):
    """Labels each task of some sources by its outputs, the first references of its rows.

    A task is `exact_match` where its outputs are few and short, or hardly more than a word, or of a closed set;
    otherwise `generation`.
    """

    sources: Annotated[Texts, Field(min_length=1)] = Field(description="the sources whose tasks are labelled")
    max_distinct: StrictInt = Field(default=50, ge=1, description="few: at most so many different outputs,")
    max_distinct_share: float = Field(default=0.05, gt=0, le=1, description="and at most this share of the rows,")
    max_label_words: float = Field(default=5.0, gt=0, le=10, description="of at most so many words on average")
    max_answer_words: float = Field(
        default=1.5, gt=0, le=10, description="hardly more than a word: at most so many words on average"
    )
    closed: Texts = Field(
        default=CLOSED, description="a closed set of outputs, compared without case, outer spaces and a full stop"
    )
    max_outside: float = Field(default=0.05, gt=0, lt=1, description="share of the rows with an output outside it")
    near: float = Field(
        default=1.5, gt=1, description="borderline: another label if the numbers were so many times larger or smaller"
    )
    tasks: dict[str, TaskLabel] | LabelFile = Field(
        default={}, description="labels that are known: task -> label, or `file:` with the same in YAML"
    )
