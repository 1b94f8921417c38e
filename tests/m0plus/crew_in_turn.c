// Two cores in the simulator, which has one: their shares one after the other.
//
// Stands for native/crew.c, whose crew_start it includes. The simulator is told whose turn it is
// and stops where a share reads what the other has written (core.c).

#define crew_run crew_run_by_two
#include "../../native/crew.c"
#undef crew_run

void crew_run(share_t share, void *job) {
    volatile uint32_t *turn = (volatile uint32_t *)0xfffffff0;
    *turn = 1;
    share(job, 0, CREW);
    *turn = 2;
    share(job, 1, CREW);
    *turn = 0;
}
