// Switches the FPU on before MicroPython starts: MicroPython's QEMU port knows no board that has one.

#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88)

int __real_main(int argc, char **argv);

int __wrap_main(int argc, char **argv) {
    CPACR |= 0xF << 20; // coprocessors 10 and 11, for everybody
    __asm volatile ("dsb\n\tisb" ::: "memory");
    return __real_main(argc, argv);
}
