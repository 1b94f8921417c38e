"""Prints what the module priot_plan says of layers, a line of JSON each.

    micropython plans.py LAYERS N_FIELDS PLAN_FORWARD PLAN_END

LAYERS: int32, for each its kind and its descriptor of N_FIELDS words. A line: number of the plan,
its name, the words of the plan, scratch_words and portable_scratch_words with training 0, 1, 2.
"""

import json
import sys
from array import array

import priot_plan


def main():
    n_fields, first, end = [int(argument) for argument in sys.argv[2:]]
    with open(sys.argv[1], "rb") as f:
        while True:
            record = array("i", f.read(4 * (1 + n_fields)))
            if not record:
                return
            kind, d = record[0], record[1:]
            number = priot_plan.plan(kind, d)
            answer = [number, priot_plan.plan_name(number)] + list(d[first:end])
            for words in (priot_plan.scratch_words, priot_plan.portable_scratch_words):
                answer += [words(kind, training, d) for training in range(3)]
            print(json.dumps(answer))


if __name__ == "__main__":
    main()
