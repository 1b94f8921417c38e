// The serial port of QEMU's mps2-an505, whose address MicroPython's QEMU port does not know.

#include <stdint.h>

#include "uart.h"

enum { TX_FULL = 1, RX_FULL = 2, TX_ENABLE = 1, RX_ENABLE = 2 };

typedef struct {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t control;
    volatile uint32_t interrupts;
    volatile uint32_t divider;
} cmsdk_uart_t;

#define UART ((cmsdk_uart_t *)0x50200000)

void uart_init(void) {
    UART->divider = 16; // the least that QEMU takes
    UART->control = TX_ENABLE | RX_ENABLE;
}

int uart_rx_chr(void) {
    return UART->state & RX_FULL ? (int)UART->data : UART_RX_NO_CHAR;
}

void uart_tx_strn(const char *text, size_t length) {
    for (; length != 0; length--) {
        while (UART->state & TX_FULL) {
        }
        UART->data = *text++;
    }
}
