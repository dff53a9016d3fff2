/* The built-in page, looked at by a headless Chromium that chats through it (tools/check_page.py);
 * skipped where there is none, or no Python. Pictures stay in the build folder. */
#include "serve_support.h"

#include <sys/wait.h>

int main(void)
{
    served s;
    char command[1000];
    served_init(&s);
    served_start(&s);
    snprintf(command, sizeof command,
             "command -v python3 >/dev/null || { echo skipped: no python3; exit 77; }; "
             "exec python3 '%s/tools/check_page.py' http://127.0.0.1:%d --pictures '%s'",
             SAMP_SOURCE, atomic_load(&s.port), SAMP_BUILD);
    int outcome = system(command);
    served_stop(&s);
    return WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 1;
}
