/*
 * The seam: a client comes back with a cursor, catches up, and joins the live stream. Nothing is lost, nothing comes
 * twice, and the order per key holds.
 *
 * One database, one node (listener, hub, shard), one client with its catch-up task, and other nodes that may serve the
 * client while it is away; all of it in any order and without an end. A cursor is a set of transactions, here a mask:
 * that is what a pg_snapshot says, and all that the protocol asks of it is whether one covers another. An actor handles
 * one message at a time, so what a handler does is one step (`atomic`, `d_step`); what comes with a message or a
 * statement of its own is a step of its own.
 *
 * Options: -DWINDOW=n, -DENDS, -DGHOSTS, and one of the broken variants that README.md lists.
 */

/* How many batches the hub keeps: 2 or 3. */
#ifndef WINDOW
#define WINDOW 2
#endif

/* There are four transactions at a time. Two of them write one key, the one with the higher id first. */
#define FIRST 8
#define SECOND 2
/* One that was delivered and then lost in a crash of the database; only a cursor still has it. */
#define GHOST 16

#define COVERS(a, b) (((b) & ~(a)) == 0)

/* A batch may leave in two parts. Which row is in the first does not matter, as long as FIRST comes before SECOND. */
#ifdef ROWS_BY_ID
#define EARLIEST(rows) ((rows) & 1 -> 1 : ((rows) & 2 -> 2 : ((rows) & 4 -> 4 : (rows) & 8)))
#else
#define EARLIEST(rows) ((rows) & 8 -> 8 : ((rows) & 4 -> 4 : ((rows) & 2 -> 2 : (rows) & 1)))
#endif
#define IS_SEVERAL(rows) (((rows) & ~EARLIEST(rows)) != 0)

mtype = { Nothing, Log, Piece, Straight, Push, Joined, Reset };

/* The database: what has committed. */
byte done;
/* The world goes quiet: nothing new happens. */
bit over;

/* The hub. Its window begins at ends[0] and has a batch up to each of the others; the last is the hub's cursor. */
byte ends[WINDOW + 1];
byte count;
#define HUB ends[count]
/* A batch is under way: a part of it has been sent. */
bit in_batch;
/* Whether the shard has other subscribers of the topic, and whether the hub has counted this one. */
bit others;
bit member;
bit counts_later;
/* A question that waits for a read, and whether such a read has begun (1) or ended (2). */
bit held;
byte looked;
byte held_from;
bit held_is_its;

/* The listener has read, and has not handed everything on. */
bit reading;

/* From the hub to the shard: rows, the cursor behind them, whether the batch ends with them, and whether the message is
   for the connection that the client has now. In the program that is a serial number which is never used again. */
chan mailbox = [2] of { mtype, byte, byte, bit, bit };

/* The client: its cursor, all that it got up to there, and what came of a batch that is not complete. */
byte cursor;
byte got;
byte part;
byte part_end;
/* Its connection, and whether the shard has it in its list. */
bit connected;
bit joined;
/* Its catch-up task has asked, and has an answer. */
bit asked;
mtype answer = Nothing;
byte answer_rows;
byte answer_end;
bit answer_last;

/* What the shard's heartbeats say, nothing within a batch. */
byte beat;
bit no_beat;

/* The client takes a message. What it has is what its cursor says, after every batch. */
inline deliver(rows, end, last)
{
    assert(((rows) & (got | part)) == 0);
    assert(((rows) & SECOND) == 0 || (((rows) | got | part) & FIRST) != 0);
    part = part | (rows);
    part_end = end;
    if
    :: last ->
        got = got | part;
        cursor = end;
        part = 0;
        part_end = 0;
        assert(got == cursor)
    :: else
    fi
}

/* Only how sets relate matters. So a transaction that everybody has is forgotten, and its bit is free for a new one:
   that is why the model needs no bound on transactions. */
#define IS_OLD(s) (COVERS(done & ends[0] & cursor, s) && !reading && !held && !asked && part == 0 && empty(mailbox))

inline forget(s)
{
    done = done & ~(s);
    cursor = cursor & ~(s);
    got = got & ~(s);
    beat = beat & ~(s);
    for (i : 0 .. WINDOW) { ends[i] = ends[i] & ~(s) };
    i = 0
}

/* Transactions commit in any order, but the second writer of a key can write only after the first has ended. */
proctype database()
{
    byte i;

end_idle:
    do
    :: d_step { !over && !(done & 1) -> done = done | 1 }
    :: d_step { !over && !(done & 4) -> done = done | 4 }
    :: d_step { !over && !(done & FIRST) -> done = done | FIRST }
    :: d_step { !over && (done & FIRST) && !(done & SECOND) -> done = done | SECOND }
    :: d_step { !over && IS_OLD(1) -> forget(1); done = done | 1 }
    :: d_step { !over && IS_OLD(4) -> forget(4); done = done | 4 }
    :: d_step { !over && IS_OLD(FIRST | SECOND) -> forget(FIRST | SECOND); done = done | FIRST }
    od
}

/* The hub takes a part of a batch. The shard gets only what a session there wants. */
inline take(rows, end, last)
{
    if
    :: others || member -> mailbox ! Push, rows, end, last, 0
    :: else
    fi;
    in_batch = !last
}

inline close_batch(end)
{
    if
    :: count < WINDOW -> count++; HUB = end
    :: count == WINDOW ->
        for (i : 0 .. WINDOW - 1) { ends[i] = ends[i + 1] };
        i = 0;
        HUB = end
    /* It alone is larger than the window. */
    :: true ->
        for (i : 0 .. WINDOW) { ends[i] = 0 };
        i = 0;
        count = 0;
        HUB = end
    fi
}

/* The listener reads, and hands what it read to the hub, in one part or in two. It waits for each to be taken. */
proctype listener()
{
    byte i;
    byte snapshot;
    byte rows;

end_idle:
    do
    /* The read: its snapshot is of this moment. */
    :: atomic {
        done != HUB || (held && looked == 0) ->
        snapshot = done;
        rows = snapshot & ~HUB;
        reading = 1;
        looked = (held && looked == 0 -> 1 : looked)
       };
       if
       :: atomic {
            IS_SEVERAL(rows) && nfull(mailbox) ->
            take(EARLIEST(rows), snapshot, 0);
            rows = rows & ~EARLIEST(rows)
           }
       :: true
       fi;
       atomic {
        nfull(mailbox) ->
        if
        :: rows != 0 ->
            take(rows, snapshot, 1);
            close_batch(snapshot)
        :: else
        fi;
#ifdef RESET_TOO_EARLY
        looked = (held -> 2 : looked);
#else
        looked = (looked == 1 -> 2 : looked);
#endif
        rows = 0;
        snapshot = 0;
        reading = 0
       }
    od
}

/* The answer to the task, unless that has ended with its connection. */
inline reply(kind, rows, end, last)
{
    if
    :: is_its -> answer = kind; answer_rows = rows; answer_end = end; answer_last = last
    :: else
    fi
}

/* Rows of the window up to one of its ends, in one part or in two. */
inline piece(rows, end)
{
    if
    :: reply(Piece, rows, end, 1)
    :: IS_SEVERAL(rows) -> reply(Piece, EARLIEST(rows), end, 0)
    fi
}

/* The step in which the client becomes live: what it misses goes ahead of all later pushes, and from here on it is one
   of those who get them. */
inline join(kind, rows, end)
{
#ifdef JOINED_STRAIGHT
    reply(Straight, rows, end, 1);
#else
    mailbox ! kind, rows, end, 1, is_its;
#endif
#ifdef COUNTED_LATER
    counts_later = 1
#else
    member = 1
#endif
}

/* Whether the batches up to ends[j] make one for a client at `from`, and there is something in it. */
#if defined(END_NOT_COVERING)
#define IS_STEP(j) (j <= count && !COVERS(from, ends[j]))
#elif defined(STEP_OF_NOTHING)
#define IS_STEP(j) (j <= count && COVERS(ends[j], from))
#else
#define IS_STEP(j) (j <= count && COVERS(ends[j], from) && ends[j] != from)
#endif

/* How many batches make a piece, and what is little enough to join with, depends on sizes; here it is free. */
inline answer_it()
{
    if
    :: !COVERS(from, ends[0]) -> reply(Log, 0, 0, 0)
    :: COVERS(from, ends[0]) -> join(Joined, HUB & ~from, HUB)
    :: COVERS(from, ends[0]) && IS_STEP(1) -> piece(ends[1] & ~from, ends[1])
    :: COVERS(from, ends[0]) && IS_STEP(2) -> piece(ends[2] & ~from, ends[2])
#if WINDOW > 2
    :: COVERS(from, ends[0]) && IS_STEP(3) -> piece(ends[3] & ~from, ends[3])
#endif
    fi
}

#define HAS_END(end) ((count >= 1 && ends[1] == end) || (count >= 2 && ends[2] == end) || (count > 2 && HUB == end))
#ifdef JOINED_IN_BATCH
#define MAY_ANSWER nfull(mailbox)
#else
#define MAY_ANSWER (!in_batch && nfull(mailbox))
#endif

/* Questions are answered between batches. That the hub gives a piece also within one makes no difference: its window
   and its cursor are still those from before the batch. */
proctype hub()
{
    byte from;
    bit is_its;

end_idle:
    do
    /* The task asks. How long its question lies in the mailbox does not show: it is as if it had asked later. */
    :: atomic {
        connected && !joined && !asked && !held && MAY_ANSWER ->
        asked = 1;
        is_its = 1;
        from = cursor;
        if
        /* It is in the middle of a batch: the rest of that. */
        :: part != 0 ->
            if
            :: COVERS(from, ends[0]) && HAS_END(part_end) -> piece(part_end & ~from & ~part, part_end)
            :: else -> reply(Log, 0, 0, 0)
            fi
        /* It is ahead, or of another past. A read that begins from now on sees all that any node has seen by now. */
        :: part == 0 && !COVERS(HUB, from) ->
#ifdef AHEAD_JOINED
            join(Joined, 0, from)
#else
            held = 1;
            looked = 0;
            held_from = from;
            held_is_its = 1
#endif
        :: part == 0 && COVERS(HUB, from) -> answer_it()
        fi;
        from = 0; is_its = 0
       }
    :: atomic {
        held && looked == 2 && MAY_ANSWER ->
        from = held_from;
        is_its = held_is_its;
        held = 0; looked = 0; held_from = 0; held_is_its = 0;
        if
        :: !COVERS(HUB, from) -> join(Reset, 0, HUB)
        :: COVERS(HUB, from) -> answer_it()
        fi;
        from = 0; is_its = 0
       }
#ifdef COUNTED_LATER
    :: d_step { counts_later -> counts_later = 0; member = 1 }
#endif
    od
}

/* The shard. */
proctype shard()
{
    mtype kind;
    byte rows;
    byte end;
    bit last;
    bit is_its;

end_idle:
    do
    :: d_step {
        mailbox ? kind, rows, end, last, is_its ->
#ifdef SERIAL_IGNORED
        is_its = connected;
#endif
        if
        :: kind == Joined && is_its -> joined = 1; asked = 0; deliver(rows, end, last)
        :: kind == Push && joined -> deliver(rows, end, last)
        /* It goes on from now, without what is missing. A cursor of this database never comes to that. */
        :: kind == Reset && is_its ->
            assert((cursor & GHOST) != 0);
            joined = 1; asked = 0;
            got = end;
            cursor = end
        :: else
        fi;
#ifndef HEARTBEAT_EARLY
        if
        :: joined ->
#endif
            beat = end;
            no_beat = !last;
#ifndef HEARTBEAT_EARLY
        :: else
        fi;
#endif
        kind = 0; rows = 0; end = 0; last = 0; is_its = 0
       }
    /* A heartbeat holds for everything on the socket, so there must be nothing that still catches up. */
#ifdef HEARTBEAT_EARLY
    :: d_step { connected && !no_beat && part == 0 -> deliver(0, beat, 1) }
#else
    :: d_step { joined && !no_beat && beat != cursor -> deliver(0, beat, 1) }
#endif
    od
}

/* The log can be read up to any real snapshot that covers the cursor. The ends of this hub's batches are such; those of
   another node, left as marks, lie anywhere between them, and so does the cursor. */
#define IS_MARK(j) (j <= count && COVERS(ends[j], cursor) && ends[j] != cursor)

/* Another node serves the client, up to anywhere: a long poll may stop between two transactions of one batch. */
#define MAY_GET(t) (!connected && (done & t) && !(cursor & t))
inline get(t)
{
    cursor = cursor | t;
    got = got | t
}

/* The client with its catch-up task. */
proctype client()
{
    byte i;
    mtype kind;
    byte rows;
    byte end;
    bit last;
    bit is_its;

end_idle:
    do
    :: d_step { MAY_GET(1) -> get(1) }
    :: d_step { MAY_GET(4) -> get(4) }
    :: d_step { MAY_GET(FIRST) -> get(FIRST) }
    :: d_step { MAY_GET(SECOND) && (cursor & FIRST) -> get(SECOND) }
    :: d_step { !connected -> connected = 1 }

    :: d_step {
        answer == Piece || answer == Straight ->
#ifdef JOINED_STRAIGHT
        joined = (answer == Straight);
        beat = answer_end;
#endif
        /* Each one brings something, or it would not end. */
        assert(joined || answer_rows != 0);
        deliver(answer_rows, answer_end, answer_last);
        answer = Nothing; answer_rows = 0; answer_end = 0; answer_last = 0;
        asked = 0
       }
    /* It reads the log, up to the snapshot of the read or to a mark on the way. The rest of a batch has its end
       already. */
    :: atomic {
        answer == Log ->
        if
#ifdef REST_FROM_ANEW
        :: answer_end = done
#else
        :: part != 0 -> answer_end = part_end
        :: part == 0 -> answer_end = done
#endif
#ifdef MARK_NOT_COVERING
        :: part == 0 -> select (i : 0 .. count); answer_end = ends[i]; i = 0
#else
        :: part == 0 && IS_MARK(0) -> answer_end = ends[0]
        :: part == 0 && IS_MARK(1) -> answer_end = ends[1]
        :: part == 0 && IS_MARK(2) -> answer_end = ends[2]
#if WINDOW > 2
        :: part == 0 && IS_MARK(3) -> answer_end = ends[3]
#endif
#endif
        fi;
        answer_rows = answer_end & ~cursor;
#ifndef REST_FROM_ANEW
        answer_rows = answer_rows & ~part;
#endif
        /* The connection to the database may be lost in the middle. */
        if
        :: answer_last = 1
        :: IS_SEVERAL(answer_rows) -> answer_rows = EARLIEST(answer_rows); answer_last = 0
        fi;
        answer = Piece
       }

    /* It is too slow for the live stream, and catches up again. */
    :: d_step {
        joined && !over ->
        joined = 0;
#ifndef HEARTBEAT_EARLY
        beat = 0;
        no_beat = 0
#endif
       }
    /* The connection is cut, and everything that belongs to it is gone. What is on its way will find nobody. */
    :: d_step {
        connected && !over ->
        connected = 0;
        joined = 0;
        asked = 0;
        part = 0; part_end = 0;
        answer = Nothing; answer_rows = 0; answer_end = 0; answer_last = 0;
        held_is_its = 0;
#ifndef HEARTBEAT_EARLY
        beat = 0; no_beat = 0;
#endif
        i = len(mailbox);
        do
        :: i > 0 -> mailbox ? kind, rows, end, last, is_its; mailbox ! kind, rows, end, last, 0; i--
        :: else -> break
        od;
        kind = 0; rows = 0; end = 0; last = 0; is_its = 0
       }
    od
}

init
{
    atomic {
        if
        :: others = 0
        :: others = 1
        fi;
#ifdef GHOSTS
        cursor = GHOST;
        got = GHOST;
#endif
        run database();
        run listener();
        run hub();
        run shard();
        run client()
    };
#ifdef ENDS
    over = 1;
    /* Nothing is left to happen, and the client has everything. */
    timeout -> assert(joined && part == 0 && cursor == done && got == done)
#endif
}
