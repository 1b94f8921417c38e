// struct depthwise_job (depthwise.h) for assembly.

.set JOB_LOWER, 12
.set JOB_Y, 16
.set JOB_ROUNDING, 20
.set JOB_BACK, 24
.set JOB_LEFT, 28
.set JOB_COLUMNS, 32
.set JOB_ROWS, 36
.set JOB_ROW_STEP, 40
.set JOB_PHASE_STEP, 44
.set JOB_WEIGHTS, 48
.set JOB_INPUTS, 52
.set JOB_EXACT, 56
.set JOB_ODD, 60
.set JOB_LAST_LOWER, 64
