#ifndef C_EDITLINE_H
#define C_EDITLINE_H

#include <stdio.h>
#include <histedit.h>

// Swift cannot call functions with variable arguments; these are the calls of editline(3) that are needed, one each.

typedef char *(*efs_editor_prompt)(EditLine *editor);
typedef unsigned char (*efs_editor_function)(EditLine *editor, int character);

EditLine *efs_editor_open(const char *program);
void efs_editor_start(EditLine *editor, History *history, void *data, efs_editor_prompt prompt, efs_editor_function complete);
void *efs_editor_data(EditLine *editor);
int efs_history_setsize(History *history, HistEvent *event, int size);
int efs_history_enter(History *history, HistEvent *event, const char *line);
// Standard input by way of stdio, whose buffer the shell's lines come from too. Swift takes `stdin` for shared mutable state.
size_t efs_input_read(void *buffer, size_t size);
void efs_input_clear_end(void);

int efs_history_file(History *history, HistEvent *event, const char *path, int saves);

#endif
