# Reads what `strace -f -y` wrote of one server, in the order in which it happened. Prints how many
# answers acknowledged something, how many of them began before a sync of what they acknowledge had
# ended, and how many new names in (and of) the directory `data` were not synced by the first one.

# A call that another thread's call cut in two is put together when it ends.
{
    pid = $1
    line = substr($0, length($1) + 1)
    sub(/^ +/, "", line)
}
line ~ /<unfinished \.\.\.>$/ {
    sub(/ *<unfinished \.\.\.>$/, "", line)
    began(pid, line)
    open_call[pid] = line
    next
}
line ~ /^<\.\.\. [a-z0-9_]+ resumed>/ {
    sub(/^<\.\.\. [a-z0-9_]+ resumed>/, "", line)
    ended(pid, open_call[pid] line)
    delete open_call[pid]
    next
}
line ~ /^[a-z0-9_]+\(/ {
    began(pid, line)
    ended(pid, line)
}
END { print acks + 0, early + 0, unnamed + 0 }

# The file behind the descriptor that is a call's first argument.
function file_of(call) {
    if (!match(call, /^[a-z0-9_]+\([0-9]+</)) return ""
    call = substr(call, RLENGTH + 1)
    return substr(call, 1, index(call, ">") - 1)
}
function descriptor_of(call) {
    match(call, /\([0-9]+</)
    return substr(call, RSTART + 1, RLENGTH - 2)
}
function verb_of(call) { return substr(call, 1, index(call, "(") - 1) }
function parent_of(path) { sub(/\/[^\/]*$/, "", path); return path }
function is_sync(verb) { return verb == "fsync" || verb == "fdatasync" }

function began(pid, call,    verb, file) {
    verb = verb_of(call)
    file = file_of(call)
    if (is_sync(verb) && file == data "/boskos.db-wal") {
        # It makes last what was written until now.
        covers[pid] = written
    } else if (verb ~ /^(write|writev|sendto|sendmsg)$/ && file ~ /^socket:|^TCP/) {
        answer(descriptor_of(call), call)
    }
}

function ended(pid, call,    verb, file, quoted) {
    verb = verb_of(call)
    file = file_of(call)
    if (is_sync(verb)) {
        if (call !~ /\) += 0$/) return
        if (file == data "/boskos.db-wal" && covers[pid] > synced) synced = covers[pid]
        for (name in new_in) if (new_in[name] == file) delete new_in[name]
    } else if (verb ~ /^pwrite/ && file == data "/boskos.db-wal") {
        written++
        note_tokens(call)
    } else if (verb ~ /^(read|readv|recvfrom|recvmsg)$/ && file ~ /^socket:|^TCP/) {
        if (call ~ /"POST \/(acquire|acquirebystate|release|update|reset)\?/) asked[descriptor_of(call)] = newest_token(call)
    } else if (verb ~ /^mkdir/ && call ~ /\) += 0$/) {
        name_made(path_in(call))
    } else if (verb ~ /^rename/ && call ~ /\) += 0$/) {
        quoted = call
        sub(/^[^"]*"[^"]*"/, "", quoted)
        name_made(path_in(quoted))
    } else if (verb == "openat" && call ~ /O_CREAT/ && call !~ /\) += -1/ && path_in(call) == data "/boskos.db-wal") {
        # The log's index is made anew from the log, and the lock file need not outlast its process.
        if (!log_seen++) name_made(path_in(call))
    }
}

function path_in(call) {
    sub(/^[^"]*"/, "", call)
    return substr(call, 1, index(call, "\"") - 1)
}

function name_made(path) {
    if (index(path, data) == 1) new_in[path] = parent_of(path)
}

# Which write to the log first held each token. All have six digits: what follows in a row may look like one more.
function note_tokens(text,    token) {
    while (match(text, /tok-[0-9][0-9][0-9][0-9][0-9][0-9]/)) {
        token = substr(text, RSTART, RLENGTH)
        if (!(token in write_of)) write_of[token] = written
        text = substr(text, RSTART + RLENGTH)
    }
}

function newest_token(text,    token, newest) {
    while (match(text, /tok-[0-9][0-9][0-9][0-9][0-9][0-9]/)) {
        token = substr(text, RSTART, RLENGTH)
        if (token > newest) newest = token
        text = substr(text, RSTART + RLENGTH)
    }
    return newest
}

function answer(descriptor, call,    token, name) {
    if (call !~ /"HTTP\/1\.1 (200|404) / || !(descriptor in asked)) return
    token = asked[descriptor]
    delete asked[descriptor]
    if (!acks++) for (name in new_in) unnamed++
    if (!(token in write_of) || write_of[token] > synced) early++
}
