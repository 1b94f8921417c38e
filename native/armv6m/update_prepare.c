// Constants of the rules for update_rows.S.

#include "rounding.h"
#include "update.h"

void update_prepare(struct update_job *job, const int32_t *d) {
    int32_t shift = d[UPDATE_SHIFT], threshold = d[THRESHOLD] | 256;
    job->rule = d[ROUNDING] == RHU ? RULE_PRUNE_NEAREST : d[RULE];
    job->threshold = d[THRESHOLD];
    job->granule = (uint32_t)(threshold & -threshold);
    job->constants[1] = shift;
    if (d[ROUNDING] == RHU) {
        job->constants[0] = 1 << shift >> 1;
    } else {
        job->constants[0] = (1 << shift) - (1 << (shift >> 1));
        job->constants[2] = shift - (shift >> 1);
        job->constants[3] = (1 << shift) - 1;
    }
}
