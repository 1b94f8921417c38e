// Loops over bytes that go a word at a time where they can.

#include "bytes.h"

static int32_t is_aligned(const int8_t *p) {
    return ((uintptr_t)p & 3) == 0;
}

int32_t any_negative(const int8_t *x, int32_t n) {
    uint32_t seen = 0;
    while (n > 0 && !is_aligned(x)) {
        seen |= (uint32_t)*x++;
        n--;
    }
    for (; n >= 8; n -= 8) {
        const uint32_t *words = (const uint32_t *)x;
        seen |= words[0] | words[1];
        x += 8;
    }
    for (; n > 0; n--) {
        seen |= (uint32_t)*x++;
    }
    return (seen & 0x80808080) != 0;
}

void clear_bytes(int8_t *to, int32_t n) {
    while (n > 0 && !is_aligned(to)) {
        *to++ = 0;
        n--;
    }
    for (; n >= 16; n -= 16) {
        uint32_t *words = (uint32_t *)to;
        words[0] = words[1] = words[2] = words[3] = 0;
        to += 16;
    }
    for (; n > 0; n--) {
        *to++ = 0;
    }
}
