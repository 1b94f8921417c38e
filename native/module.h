// The function objects of the module, defined in module_weights.c.

#ifndef PRIOT_MODULE_H
#define PRIOT_MODULE_H

#include "py/dynruntime.h"

extern const mp_obj_fun_builtin_fixed_t conv2d_forward_obj;
extern const mp_obj_fun_builtin_fixed_t linear_forward_obj;
extern const mp_obj_fun_builtin_fixed_t conv2d_backward_input_obj;
extern const mp_obj_fun_builtin_fixed_t linear_backward_input_obj;
extern const mp_obj_fun_builtin_fixed_t conv2d_update_obj;
extern const mp_obj_fun_builtin_fixed_t linear_update_obj;
extern const mp_obj_fun_builtin_fixed_t effective_weights_obj;

#endif
