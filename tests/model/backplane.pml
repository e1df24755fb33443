/*
 * The backplane: nodes that follow a stream of batches get what readers of the log publish, whichever of them does.
 *
 * Two candidates for reader, which may both take themselves for it at any time, for the lock that chooses one only saves
 * work. A stream that keeps its last messages, loses the old ones, and may lose an answer or a request. One node that
 * follows it: nodes don't touch each other, so one stands for all. Options: -DENDS, -DWIPES, and one of the broken
 * variants that README.md lists.
 *
 * A cursor is the set of transactions that it sees. A batch goes from one cursor to another, and leaves as one message or
 * as two.
 */

#ifndef KEPT
#define KEPT 2
#endif

/* Transactions. Two of them write one key, the one with the higher id first. */
#define FIRST 4
#define SECOND 2
#define OTHER 1

#define COVERS(a, b) (((b) & ~(a)) == 0)
#define EARLIEST(rows) ((rows) & 4 -> 4 : ((rows) & 2 -> 2 : (rows) & 1))
#define IS_SEVERAL(rows) (((rows) & ~EARLIEST(rows)) != 0)

/* The database: what has committed. */
byte done;
/* The world goes quiet: nothing new happens, and nothing is lost any more. */
bit over;

/* The stream: its last messages. Who has written each, from which cursor to which, its rows, whether it is the second of its
   batch, and whether the batch ends with it. */
byte count;
bit by[KEPT];
byte prev[KEPT];
byte next[KEPT];
byte rows[KEPT];
bit second[KEPT];
bit last[KEPT];
#define NEWEST (count - 1)

/* What a consumer has that reads the whole stream and looks only at rows: the end of the last whole batch. */
byte chain;

/* The readers. */
bit reads[2];
/* Its cursor, and the one that the batch under way leads to. */
byte cursor[2];
byte ahead[2];
/* Rows of that batch that are not out. */
byte left[2];
/* Its first message is out. */
bit half[2];
/* It has found nothing in the stream to go on from, and says so. */
bit begins[2];
/* The number that it expects of the last message is that of the last message. */
bit knows[2];
/* Its last request was not answered. */
bit unsure[2];

/* The node that follows: its cursor, and what it has handed to its hub. */
byte at;
byte got;
/* Messages that it has not taken yet: the newest ones. */
byte todo;
/* The batch that it is in the middle of: what it has of it, from where it leads to where, and whose it is. */
bit within;
byte part;
byte part_begin;
byte part_end;
bit part_by;

/* Transactions commit in any order, but the second writer of a key can write only after the first has ended. */
proctype database()
{
end_idle:
    do
    :: d_step { !over && !(done & OTHER) -> done = done | OTHER }
    :: d_step { !over && !(done & FIRST) -> done = done | FIRST }
    :: d_step { !over && (done & FIRST) && !(done & SECOND) -> done = done | SECOND }
    od
}

/* A message less, and what was behind it moves down. */
inline drop_oldest()
{
    for (i : 0 .. KEPT - 2) {
        by[i] = by[i + 1]; prev[i] = prev[i + 1]; next[i] = next[i + 1];
        rows[i] = rows[i + 1]; second[i] = second[i + 1]; last[i] = last[i + 1]
    };
    i = 0;
    count--;
    by[count] = 0; prev[count] = 0; next[count] = 0; rows[count] = 0; second[count] = 0; last[count] = 0;
    todo = (todo > count -> count : todo)
}

/* Old messages go at any time, by age, and all of them may. What a node has not taken yet is lost to it. */
proctype retention()
{
    byte i;

end_idle:
    do
    :: d_step { !over && count > 0 -> drop_oldest() }
#ifdef WIPES
    /* The stream is made anew, and counts from the beginning. */
    :: d_step {
        !over && count > 0 ->
        do
        :: count > 0 -> drop_oldest()
        :: else -> break
        od;
        knows[0] = 0; knows[1] = 0
       }
#endif
    od
}

/* The server takes a message. A sender that expected another number does not know the last one any more; where the stream was
   made anew, the number that it expects may just come up again. */
inline append(r, a, b, some, is_second, is_last)
{
#ifndef WIPES
    /* A consumer that reads all of it gets everything once: batches are whole, and each begins where the one before has ended. */
    assert(begins[r] || (is_second -> count == 0 || (by[NEWEST] == r && next[NEWEST] == (b) && !last[NEWEST]) : (a) == chain));
#endif
    if
    :: count == KEPT -> drop_oldest()
    :: else
    fi;
    by[count] = r; prev[count] = a; next[count] = b; rows[count] = some; second[count] = is_second; last[count] = is_last;
    count++;
    todo++;
    chain = (is_last -> b : chain);
    knows[1 - r] = 0
}

#ifdef WIPES
inline may_come_up_again(r)
{
    if
    :: knows[1 - r] = reads[1 - r]
    :: true
    fi
}
#else
#define may_come_up_again(r) skip
#endif

inline step_down(r)
{
    reads[r] = 0; cursor[r] = 0; ahead[r] = 0; left[r] = 0;
    half[r] = 0; begins[r] = 0; knows[r] = 0; unsure[r] = 0
}

/* The message was taken: what is left to do. */
inline taken(r)
{
    if
    :: part_rows == left[r] ->
        cursor[r] = ahead[r];
        ahead[r] = 0; left[r] = 0; half[r] = 0; begins[r] = 0
    :: else ->
        left[r] = left[r] & ~part_rows;
        half[r] = 1
    fi
}

#ifdef NO_CONDITION
#define IS_TAKEN(r) true
#else
#define IS_TAKEN(r) knows[r]
#endif

/* Whether the newest message is the one that was sent. Its number within the batch belongs to that: the first message has
   the same writer and the same end as the second. */
#ifdef ACK_BY_NEXT
#define IS_SENT(r) (count > 0 && by[NEWEST] == r && next[NEWEST] == ahead[r])
#else
#define IS_SENT(r) (count > 0 && by[NEWEST] == r && prev[NEWEST] == cursor[r] && next[NEWEST] == ahead[r] && \
    second[NEWEST] == half[r] && rows[NEWEST] == part_rows)
#endif

proctype reader(bit r)
{
    byte i;
    /* Of the message under way. */
    byte part_rows;

end_idle:
    do
    /* It takes itself for the reader, and goes on at the end of the last whole batch: half a batch begins anew. The newest
       message and its number are read in one step. */
    :: d_step {
        !reads[r] ->
        reads[r] = 1;
        knows[r] = 1;
        if
#ifdef BEGINS_AT_NEWEST
        :: count > 0 -> cursor[r] = done
#else
        :: count > 0 && last[NEWEST] -> cursor[r] = next[NEWEST]
#ifdef HALF_BATCH_IS_WHOLE
        :: count > 0 && !last[NEWEST] -> cursor[r] = next[NEWEST]
#else
        :: count > 0 && !last[NEWEST] -> cursor[r] = prev[NEWEST]
#endif
#endif
        /* There is nothing to go on from: it begins now, and says that. */
        :: count == 0 -> cursor[r] = done; begins[r] = 1
        fi;
        ahead[r] = (begins[r] -> cursor[r] : 0)
       }
    /* It sends a message: the rest of the batch under way, or of a new one, for which it reads the log, or a beat, which
       has no rows. A beat comes once a second; here, when the node has nothing else to take. That time passes between the
       read and the message does not show: it is as if it had read later, but for the first message of two. */
    :: atomic {
        reads[r] && !unsure[r] && (half[r] || begins[r] || done != cursor[r] || (todo == 0 && at != cursor[r])) ->
        if
        :: !half[r] && !begins[r] ->
            ahead[r] = done;
            left[r] = done & ~cursor[r]
        :: else
        fi;
        if
        :: part_rows = left[r]
        :: IS_SEVERAL(left[r]) && !half[r] -> part_rows = EARLIEST(left[r])
        fi;
        if
        :: IS_TAKEN(r) ->
            append(r, cursor[r], ahead[r], part_rows, half[r], part_rows == left[r]);
            may_come_up_again(r);
            if
            :: taken(r); part_rows = 0
            /* The answer is lost. */
            :: !over -> unsure[r] = 1; knows[r] = 0
            fi
        /* The request is lost. */
        :: IS_TAKEN(r) && !over -> unsure[r] = 1
        :: !IS_TAKEN(r) -> step_down(r); part_rows = 0
        fi
       }
    /* It does not know whether its message is there, so it looks. */
    :: d_step {
        unsure[r] ->
        if
#ifdef ACK_TAKEN_FOR_GRANTED
        :: true -> unsure[r] = 0; knows[r] = 1; taken(r)
#else
        :: IS_SENT(r) -> unsure[r] = 0; knows[r] = 1; taken(r)
        :: !IS_SENT(r) -> step_down(r)
#endif
        fi;
        part_rows = 0
       }
    /* It ends, at any time. */
    :: d_step { reads[r] && !over -> step_down(r); part_rows = 0 }
    od
}

/* The hub gets rows. */
inline deliver(some)
{
    assert(((some) & got) == 0);
    assert(((some) & SECOND) == 0 || (((some) | got) & FIRST) != 0);
    got = got | (some)
}

/* At the end of a batch: it has exactly what its cursor says. */
inline close(end)
{
    at = at | (end);
    within = 0; part = 0; part_begin = 0; part_end = 0; part_by = 0;
    assert(got == at)
}

/* It reads the log once, from its cursor to now. */
inline read_log()
{
    deliver(done & ~at);
    close(done)
}

/* One reader may have begun the batch twice, from two cursors. */
#ifdef PART_BY_END
#define IS_NEXT_PART(i) (second[i] && next[i] == part_end && by[i] == part_by)
#else
#define IS_NEXT_PART(i) (second[i] && prev[i] == part_begin && next[i] == part_end && by[i] == part_by)
#endif

/* What it lacks of a message. */
#ifdef ROWS_AS_THEY_COME
#define LACKS(i) rows[i]
#else
#define LACKS(i) (rows[i] & ~at & ~part)
#endif

proctype follower()
{
    byte i;

end_idle:
    do
    /* It takes a message. */
    :: d_step {
        todo > 0 ->
        i = count - todo;
        todo--;
        /* The batch under way does not go on: the rest of it is in the log. */
        if
        :: within && !IS_NEXT_PART(i) ->
#ifdef HALF_BATCH_IS_ENOUGH
            close(part_end)
#else
            deliver(part_end & ~at & ~part);
            close(part_end)
#endif
        :: else
        fi;
        if
        :: within ->
            deliver(LACKS(i));
            close(next[i])
        /* It has all of that already. */
        :: !within && COVERS(at, next[i])
        :: !within && !COVERS(at, next[i]) ->
            if
#ifdef PREV_IGNORED
            :: !second[i] ->
#else
            :: !second[i] && COVERS(at, prev[i]) ->
#endif
                deliver(LACKS(i));
                if
                :: last[i] -> close(next[i])
                :: else -> within = 1; part = rows[i] & ~at; part_begin = prev[i]; part_end = next[i]; part_by = by[i]
                fi
            /* Something is missing in between. */
            :: else ->
#ifdef GAP_IGNORED
                skip
#else
                read_log()
#endif
            fi
        fi;
        /* A message tells where the reader is, and after it the node is there. */
        assert(within || COVERS(at, next[i]) || i >= KEPT);
        i = 0
       }
    /* One does not reach it, and nobody says so. */
    :: d_step { !over && todo > 0 -> todo-- }
    /* It is a new node, or has read the log by itself while the stream was away: it begins with any of the messages, and
       where the log is now. */
    :: atomic {
        !over && (at != done || within) ->
        within = 0; part = 0; part_begin = 0; part_end = 0; part_by = 0;
        at = done;
        got = done;
        select (todo : 0 .. count)
       }
    od
}

init
{
    atomic {
        run database();
        run retention();
        run reader(0);
        run reader(1);
        run follower()
    };
#ifdef ENDS
    over = 1;
    /* Nothing is left to happen, and the node has everything. */
    timeout -> assert(!within && at == done && got == done)
#endif
}
