/* The preparing thread: a ring of work under a lock. */
#include "serve/prepare.h"

#include "base/memory.h"

#include <pthread.h>

typedef struct task {
    samp_prepare_work *work; /* NULL = none */
    void *context;
} task;

struct samp_prepare {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    task *ring; /* [capacity] */
    size_t capacity, first, n;
    bool working, stopping; /* working: a task was taken and is not done */
};

/* The next task, the last one being done; none when the thread is to end. */
static task take(samp_prepare *prepare)
{
    task next = {0};
    pthread_mutex_lock(&prepare->lock);
    prepare->working = false;
    while (prepare->n == 0 && !prepare->stopping)
        pthread_cond_wait(&prepare->changed, &prepare->lock);
    if (prepare->n) {
        next = prepare->ring[prepare->first];
        prepare->first = (prepare->first + 1) % prepare->capacity;
        prepare->n--;
        prepare->working = true;
    }
    pthread_mutex_unlock(&prepare->lock);
    return next;
}

static void *run_tasks(void *context)
{
    for (task next; (next = take(context)).work;) next.work(next.context);
    return NULL;
}

samp_status samp_prepare_create(samp_prepare **out, size_t max_waiting, samp_error *error)
{
    samp_prepare *prepare = samp_alloc(1, sizeof *prepare);
    if (prepare) prepare->ring = samp_alloc(max_waiting, sizeof *prepare->ring);
    if (!prepare || !prepare->ring) {
        samp_free(prepare);
        return samp_fail(error, SAMP_NOMEM, "out of memory for %zu waiting requests", max_waiting);
    }
    prepare->capacity = max_waiting;
    pthread_mutex_init(&prepare->lock, NULL);
    pthread_cond_init(&prepare->changed, NULL);
    if (pthread_create(&prepare->thread, NULL, run_tasks, prepare) != 0) {
        samp_free(prepare->ring);
        samp_free(prepare);
        return samp_fail(error, SAMP_NOMEM, "no thread for preparing requests could be started");
    }
    *out = prepare;
    return SAMP_OK;
}

void samp_prepare_release(samp_prepare *prepare)
{
    if (!prepare) return;
    pthread_mutex_lock(&prepare->lock);
    prepare->stopping = true;
    pthread_cond_signal(&prepare->changed);
    pthread_mutex_unlock(&prepare->lock);
    pthread_join(prepare->thread, NULL);
    pthread_cond_destroy(&prepare->changed);
    pthread_mutex_destroy(&prepare->lock);
    samp_free(prepare->ring);
    samp_free(prepare);
}

bool samp_prepare_add(samp_prepare *prepare, samp_prepare_work *work, void *context)
{
    pthread_mutex_lock(&prepare->lock);
    bool room = prepare->n < prepare->capacity && !prepare->stopping;
    if (room)
        prepare->ring[(prepare->first + prepare->n++) % prepare->capacity] =
            (task){.work = work, .context = context};
    pthread_cond_signal(&prepare->changed);
    pthread_mutex_unlock(&prepare->lock);
    return room;
}

bool samp_prepare_is_idle(samp_prepare *prepare)
{
    pthread_mutex_lock(&prepare->lock);
    bool idle = prepare->n == 0 && !prepare->working;
    pthread_mutex_unlock(&prepare->lock);
    return idle;
}
