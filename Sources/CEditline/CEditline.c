#include "CEditline.h"

void efs_editor_start(EditLine *editor, History *entries, void *data, efs_editor_prompt prompt, efs_editor_function complete) {
    el_set(editor, EL_CLIENTDATA, data);
    el_set(editor, EL_PROMPT, prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 1);
    el_set(editor, EL_HIST, history, entries);
    el_set(editor, EL_ADDFN, "efs-complete", "complete a path", complete);
    el_set(editor, EL_BIND, "^I", "efs-complete", NULL);
}

void *efs_editor_data(EditLine *editor) {
    void *data = NULL;
    el_get(editor, EL_CLIENTDATA, &data);
    return data;
}

int efs_history_setsize(History *entries, HistEvent *event, int size) { return history(entries, event, H_SETSIZE, size); }

int efs_history_enter(History *entries, HistEvent *event, const char *line) { return history(entries, event, H_ENTER, line); }

int efs_history_file(History *entries, HistEvent *event, const char *path, int saves) {
    return history(entries, event, saves ? H_SAVE : H_LOAD, path);
}

EditLine *efs_editor_open(const char *program) { return el_init(program, stdin, stdout, stderr); }

// Once a terminal has said that its input ends, fread would ask it again.
size_t efs_input_read(void *buffer, size_t size) { return feof(stdin) ? 0 : fread(buffer, 1, size, stdin); }

void efs_input_clear_end(void) { clearerr(stdin); }
