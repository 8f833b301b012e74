/* The description of a run, a file of lines that the harness writes: a word, then its values, parted by blanks. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

Setup setup;

static char *text(char **rest) {
    char *word = strsep(rest, " ");
    if (!word || !*word) fail("setup: a value is missing");
    char *copy = strdup(word);
    if (!copy) fail("out of memory");
    return copy;
}

static int number(char **rest) {
    char *word = text(rest);
    int value = atoi(word);
    free(word);
    return value;
}

static int choice(char **rest, const char *const *names, int count, const char *what) {
    char *name = text(rest);
    int chosen = 0;
    while (chosen < count && strcmp(name, names[chosen])) chosen++;
    if (chosen == count) fail("setup: no %s %s", what, name);
    free(name);
    return chosen;
}

static void add_topic(char **rest) {
    setup.topics = realloc(setup.topics, (size_t)(setup.topic_count + 1) * sizeof *setup.topics);
    if (!setup.topics) fail("out of memory");
    Topic *topic = &setup.topics[setup.topic_count++];
    *topic = (Topic){.name = text(rest), .symbol = text(rest)};
    if (strlen(topic->symbol) > 64) fail("setup: symbol too long: %s", topic->symbol);
}

static void add_account(char **rest) {
    setup.accounts = realloc(setup.accounts, (size_t)(setup.account_count + 1) * sizeof *setup.accounts);
    if (!setup.accounts) fail("out of memory");
    Account *account = &setup.accounts[setup.account_count++];
    *account = (Account){.authid = text(rest), .ticket = text(rest), .topic_count = number(rest)};
    account->topics = calloc((size_t)account->topic_count, sizeof *account->topics);
    if (!account->topics) fail("out of memory");
    for (int i = 0; i < account->topic_count; i++) {
        int topic = number(rest);
        if (topic < 0 || topic >= setup.topic_count) fail("setup: no topic %d", topic);
        account->topics[i] = topic;
        setup.topics[topic].receivers++;
    }
}

static void read_line(char *line) {
    char *rest = line, *word = strsep(&rest, " ");
    if (!strcmp(word, "protocol")) {
        static const char *const names[] = {"wamp", "plain", "nats"};
        setup.protocol = (Protocol)choice(&rest, names, 3, "protocol");
    } else if (!strcmp(word, "server")) {
        setup.host = text(&rest);
        setup.port = number(&rest);
        setup.path = text(&rest);
    } else if (!strcmp(word, "realm")) {
        setup.realm = text(&rest);
    } else if (!strcmp(word, "topic")) {
        add_topic(&rest);
    } else if (!strcmp(word, "client")) {
        add_account(&rest);
    } else if (!strcmp(word, "source")) {
        static const char *const names[] = {"bus", "rawsocket", "websocket", "nats", "redis"};
        setup.source = (Source)choice(&rest, names, 5, "source");
    } else if (!strcmp(word, "source_tcp")) {
        setup.source_host = text(&rest);
        setup.source_port = number(&rest);
        setup.source_path = text(&rest);
    } else if (!strcmp(word, "source_unix")) {
        setup.source_path = text(&rest);
    } else if (!strcmp(word, "source_account")) {
        setup.source_authid = text(&rest);
        setup.source_ticket = text(&rest);
    } else if (!strcmp(word, "epoch_ms")) {
        setup.epoch_ms = strtoull(text(&rest), NULL, 10);
    } else if (!strcmp(word, "patience_us")) {
        setup.patience_us = strtoull(text(&rest), NULL, 10);
    } else if (!strcmp(word, "status")) {
        setup.status = strdup(rest ? rest : "");
    } else {
        fail("setup: no setting %s", word);
    }
}

void setup_read(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail("cannot read %s", path);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t bytes;
    while ((bytes = getline(&line, &capacity, file)) > 0) {
        if (line[bytes - 1] == '\n') line[bytes - 1] = 0;
        if (*line) read_line(line);
    }
    free(line);
    fclose(file);
    if (!setup.host || !setup.realm || !setup.topic_count || !setup.account_count || !setup.source_path)
        fail("setup: server, realm, topics, clients and a source are needed");
}
