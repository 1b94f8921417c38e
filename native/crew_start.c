// Where the parts of a job begin that its cores do.

#include "crew.h"

int32_t crew_start(int32_t n, int32_t step, int32_t core, int32_t cores) {
    int32_t half = ((n >> 1) + step - 1) & -step;
    return core == 0 ? 0 : core == cores || half > n ? n : half;
}
