// Copies rows of images into images with borders: copy_row.S.

#ifndef PRIOT_COPY_ROW_H
#define PRIOT_COPY_ROW_H

#include <stdint.h>

void copy_row(int8_t *to, const int8_t *x, int32_t n, uint32_t flip);

#endif
