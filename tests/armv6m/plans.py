"""Prints what the module priot_plan says of layers, a line of JSON each.

    micropython plans.py LAYERS N_FIELDS FIRST END PLAN NAME WORDS ...

LAYERS: int32, for each its kind and its descriptor of N_FIELDS words. PLAN, NAME, WORDS: functions
of the module. A line: number of the plan, its name, what it writes to the words FIRST .. END - 1,
and what each of WORDS answers with training 0, 1, 2.
"""

import json
import sys
from array import array

import priot_plan


def main():
    n_fields, first, end = [int(argument) for argument in sys.argv[2:5]]
    plan, plan_name, *words_of = [getattr(priot_plan, name) for name in sys.argv[5:]]
    with open(sys.argv[1], "rb") as f:
        while True:
            record = array("i", f.read(4 * (1 + n_fields)))
            if not record:
                return
            kind, d = record[0], record[1:]
            number = plan(kind, d)
            answer = [number, plan_name(number)] + list(d[first:end])
            for words in words_of:
                answer += [words(kind, training, d) for training in range(3)]
            print(json.dumps(answer))


if __name__ == "__main__":
    main()
