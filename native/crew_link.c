// The cores of priot_native for the kernels of another module: crew_run hands their jobs on to
// that of priot_native, once it is told where that lies; until then core 0 does all.

#include "crew.h"

#include <stddef.h>

// Not static: a native module's variables cannot be.
run_t crew_linked;

void crew_run(share_t share, void *job) {
    if (crew_linked == NULL) {
        share(job, 0, 1);
    } else {
        crew_linked(share, job);
    }
}
