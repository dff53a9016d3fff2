/* Task files: every form gives the prompt that lm-evaluation-harness 0.4.13's templates give (what
 * its log of samples shows for such questions), and what is malformed is refused with its line. */
#include "eval/task.h"
#include "support/fake_tree.h"

#include "support/cmocka_all.h"

static fake_tree tree;
static samp_task task;
static samp_error error;

static int make(void **state)
{
    (void)state;
    fake_tree_begin(&tree);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    samp_task_release(&task);
    fake_tree_end(&tree);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s%s", tree.root, name);
    return path;
}

/* Reads text as the whole file `name`. */
static samp_status read_text(const char *name, const char *text, size_t max)
{
    samp_task_release(&task);
    fake_tree_put(&tree, name, text);
    return samp_task_read(&task, path_of(name), max, &error);
}

static void check_question(size_t index, const char *prompt, uint32_t n, const char *right,
                           uint32_t answer)
{
    const samp_question *q = &task.questions[index];
    assert_int_equal(q->n_choices, n);
    assert_int_equal(q->answer, answer);
    assert_string_equal(q->prompts[answer], prompt);
    assert_string_equal(q->choices[answer], right);
}

static void mmlu_csv(void **state)
{
    (void)state;
    const char *csv = "What is 2?,one,two,three,four,B\n"
                      "\" Which, of\nthese? \",a,b, c,d,D\n";
    assert_int_equal(read_text("/college_mathematics_test.csv", csv, 0), SAMP_OK);
    assert_int_equal(task.n, 2);
    check_question(0, "What is 2?\nA. one\nB. two\nC. three\nD. four\nAnswer:", 4, "B", 1);
    check_question(1, "Which, of\nthese?\nA. a\nB. b\nC.  c\nD. d\nAnswer:", 4, "D", 3);
    assert_string_equal(task.questions[1].id, "2");
    assert_string_equal(task.questions[1].subject, "college_mathematics");
    assert_int_equal(read_text("/a.csv", "question,x,y,answer\nq,1,2,A\n", 0), SAMP_OK);
    assert_int_equal(task.n, 1);
    assert_int_equal(read_text("/a.csv", csv, 1), SAMP_OK);
    assert_int_equal(task.n, 1);
}

static void preamble(void **state)
{
    (void)state;
    samp_task dev = {0};
    samp_buffer out = {0};
    fake_tree_put(&tree, "/x_y_dev.csv", "p,1,2,A\nq,3,4,B\nr,5,6,A\n");
    assert_int_equal(samp_task_read(&dev, path_of("/x_y_dev.csv"), 0, &error), SAMP_OK);
    assert_int_equal(read_text("/x_y_test.csv", "s,7,8,A\n", 0), SAMP_OK);
    assert_int_equal(samp_task_preamble(&task.questions[0], &dev, 2, &out, &error), SAMP_OK);
    assert_string_equal(out.data,
                        "The following are multiple choice questions (with answers) about x y.\n\n"
                        "p\nA. 1\nB. 2\nAnswer: A\n\nq\nA. 3\nB. 4\nAnswer: B\n\n");
    samp_buffer_clear(&out);
    assert_int_equal(samp_task_preamble(&task.questions[0], &dev, 4, &out, &error), SAMP_MISMATCH);
    assert_non_null(strstr(error.message, "4 examples are wanted"));

    /* Among examples of several subjects only those of the question's own are taken. */
    fake_tree_put(&tree, "/other_dev.csv", "t,1,2,A\n");
    assert_int_equal(samp_task_read(&dev, path_of("/other_dev.csv"), 0, &error), SAMP_OK);
    assert_int_equal(read_text("/other_test.csv", "s,7,8,A\n", 0), SAMP_OK);
    assert_int_equal(samp_task_preamble(&task.questions[0], &dev, 1, &out, &error), SAMP_OK);
    assert_non_null(strstr(out.data, "about other.\n\nt\nA. 1"));
    assert_int_equal(samp_task_preamble(&task.questions[0], &dev, 2, &out, &error), SAMP_MISMATCH);
    samp_buffer_release(&out);
    samp_task_release(&dev);
}

static void json_forms(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(
            "/t.jsonl",
            "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"],\"answer\":1,\"subject\":\"s\"}\n"
            "\n"
            "{\"question\":\"Q\",\"choices\":{\"text\":[\"a\",\"b\"],\"label\":[\"1\",\"2\"]},"
            "\"answerKey\":\"2\",\"id\":\"M7\"}\r\n"
            "{\"question\":\"Q\",\"options\":[{\"label\":\"A\",\"text\":\"a\"},{\"label\":"
            "\"B\",\"text\":\"b\"},{\"label\":\"C\",\"text\":\"c\"}],\"answer\":\"C\"}\n"
            "{\"query\":\"Question: Q\",\"choices\":[\"a\",\"b\"],\"gold\":0}",
            0),
        SAMP_OK);
    assert_int_equal(task.n, 4);
    check_question(0, "Q\nA. a\nB. b\nAnswer:", 2, "B", 1);
    assert_string_equal(task.questions[0].subject, "s");
    assert_true(task.questions[0].lettered);
    check_question(1, "Question: Q\nAnswer:", 2, "b", 1);
    assert_string_equal(task.questions[1].id, "M7");
    assert_string_equal(task.questions[1].subject, "t");
    assert_false(task.questions[1].lettered);
    check_question(2, "Question: Q\nAnswer:", 3, "c", 2);
    check_question(3, "Question: Q\nAnswer:", 2, "a", 0);
}

static void hellaswag(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("/h.jsonl",
                  "{\"activity_label\":\"Home\",\"ctx_a\":\"How to [header] do [title] it.\","
                  "\"ctx_b\":\"the MAN\",\"endings\":[\" [substeps] goes  on. \",\"is [a\\n] x\"],"
                  "\"label\":\"0\"}",
                  0),
        SAMP_OK);
    check_question(0, "Home: How to do. it. The man", 2, " goes on.", 0);
    assert_string_equal(task.questions[0].choices[1], "is [a\n] x");
}

static void winogrande(void **state)
{
    (void)state;
    assert_int_equal(read_text("/w.jsonl",
                               "{\"context_options\":[\"x so A\",\"x so B\"],\"continuation\":"
                               "\"won.\",\"gold\":1}",
                               0),
                     SAMP_OK);
    check_question(0, "x so B", 2, "won.", 1);
    assert_string_equal(task.questions[0].prompts[0], "x so A");
}

static void check_refusal(const char *name, const char *text, const char *says)
{
    if (read_text(name, text, 0) == SAMP_OK) fail_msg("accepted: %s", text);
    if (!strstr(error.message, says)) fail_msg("%s: without «%s»", error.message, says);
}

static void refused(void **state)
{
    (void)state;
    check_refusal("/t.csv", "q,a,b,c,d,B\nq,a,b,C\n", "line 2: 4 fields, expected 6");
    check_refusal("/t.csv", "q,a,b,C\n", "the answer is \"C\", expected A to B");
    check_refusal("/t.csv", "q,a,b,BA\n", "the answer is \"BA\"");
    check_refusal("/t.csv", "q,A\n", "2 fields, expected a question");
    check_refusal("/t.csv", "\n", "holds no question");
    check_refusal("/t.txt", "q,a,b,A\n", "expected questions in a file named .csv or .jsonl");
    check_refusal("/_test.csv", "", "holds no question");
    check_refusal("/t.jsonl", "{\"question\":\"Q\"}\n", "line 1: no form of question");
    check_refusal("/t.jsonl", "[]", "line 1: no form of question");
    check_refusal("/t.jsonl", "\n{", "line 2: not valid JSON");
    check_refusal("/t.jsonl", "{\"query\":\"q\",\"choices\":[\"a\"],\"gold\":0}", "1 choices");
    check_refusal("/t.jsonl", "{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":2}",
                  "none of the 2 choices");
    check_refusal("/t.jsonl", "{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":-1}",
                  "none of the 2 choices");
    check_refusal("/t.jsonl", "{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":\"x\"}",
                  "none of the 2 choices");
    check_refusal("/t.jsonl", "{\"query\":\"q\",\"choices\":[\"a\",7],\"gold\":0}",
                  "a choice is not a text");
    check_refusal("/t.jsonl", "{\"query\":\"q\",\"choices\":[\"a\",\"\"],\"gold\":0}",
                  "the text of choice 2 is empty");
    check_refusal("/t.jsonl",
                  "{\"question\":\"q\",\"choices\":{\"text\":[\"a\",\"b\"],\"label\":[\"A\"]},"
                  "\"answer\":0}",
                  "1 labels for 2 choices");
    check_refusal(
        "/t.jsonl",
        "{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":0,\"subject\":\"\\u001b[2J\"}",
        "the subject holds a control character");
}

static void allocation_failures(void **state)
{
    (void)state;
    const char *text = "{\"ctx_a\":\"a\",\"ctx_b\":\"b\",\"activity_label\":\"c\",\"endings\":"
                       "[\"x [y]\",\"z\"],\"label\":1}\n";
    fake_tree_put(&tree, "/f.jsonl", text);
    for (uint64_t n = 1;; n++) {
        samp_task_release(&task);
        samp_alloc_fail_at(n);
        samp_status status = samp_task_read(&task, path_of("/f.jsonl"), 0, &error);
        samp_alloc_fail_at(0);
        if (status == SAMP_OK) break;
        if (status != SAMP_NOMEM) fail_msg("allocation %d: %s", (int)n, error.message);
        assert_true(n < 1000);
    }
    assert_int_equal(task.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mmlu_csv),
        cmocka_unit_test(preamble),
        cmocka_unit_test(json_forms),
        cmocka_unit_test(hellaswag),
        cmocka_unit_test(winogrande),
        cmocka_unit_test(refused),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
