/*
 * The doorbell: a listener that sleeps is woken by every transaction that it has not read.
 *
 * Two listeners and any number of transactions, in any order and without an end. The protocol is that of
 * src/feed/bell.rs with plank.bell_sleep() and plank.bell_awake(). What another session could come between is a step of
 * its own. `atomic` and `d_step` stand where PostgreSQL itself takes a lock, which the comment names, or where a
 * comment says why nobody can tell.
 *
 * A pg_snapshot is the set of ids whose transactions had ended when it was taken, here a mask. Its xmax is the highest
 * of them plus one (latestCompletedXid + 1): an id above that may be in use, and is not in its list of the running.
 *
 * Options: -DIDS=n, -DCRASHING=n, -DENDS, and one of the broken variants that README.md lists.
 */

/* Ids that are in use at a time: of transactions that run, or that a listener has not read yet. At most 7. */
#ifndef IDS
#define IDS 4
#endif
/* How many of the listeners may crash, each as often as it likes. */
#ifndef CRASHING
#define CRASHING 1
#endif
#define LISTENERS 2

#define BIT(id) (1 << (id))
#define UP_TO(id) ((2 << (id)) - 1)

/* The parts of a snapshot. Its xmin is the lowest id that is not in the set: the first that runs, or xmax. */
#define BELOW_XMAX(s) ((s) | (s) >> 1 | (s) >> 2 | (s) >> 3 | (s) >> 4 | (s) >> 5 | (s) >> 6)
#define RUNNING(s) (BELOW_XMAX(s) & ~(s))
#define XMIN_IS_ABOVE(s, id) (((s) & UP_TO(id)) == UP_TO(id))

/* What the query of a read asks for: xid >= xmax of the cursor, or xid among those that ran. */
#ifdef CURSOR_WITHOUT_RUNNING
#define UNSEEN(cursor) (~BELOW_XMAX(cursor))
#else
#define UNSEEN(cursor) (~BELOW_XMAX(cursor) | RUNNING(cursor))
#endif

/* The database. Of the ids below next_xid: */
byte next_xid;
byte ended;
/* those that have written into the log and committed, until both listeners have read them; */
byte committed;
/* those that have not looked at the bell yet; */
byte to_look;
/* those that have seen it armed, until their notification is delivered; */
byte ringing;
/* those in `committed` that have seen it disarmed; */
byte silent;
/* those of listeners, for a fence. */
byte fences;
bit bell;
/* Who holds the lock B shared. */
byte sharers;
/* The world goes quiet: nothing begins any more. */
bit over;

#ifdef BELL_BEFORE_XID
/* A writer without an id has looked already, and what was there. */
bit looked_early;
bit saw_armed;
#endif

/* The listeners. */
bit listens[LISTENERS];
/* Waits for its socket and nothing else. */
bit waits[LISTENERS];
/* Notifications are in its socket. One or several are the same to it. */
bit rung[LISTENERS];
byte fence[LISTENERS];
/* Kept together, as a batch is with its cursor: what a crash leaves. */
byte cursor[LISTENERS];
byte got[LISTENERS];

/* I4. A commit and the beginning of the wait are what could break it, so it is checked there. */
#define UNREAD(l) (committed & ~cursor[l])
#define IS_SAFE(l) (!waits[l] || UNREAD(l) == 0 || ((UNREAD(l) & silent) == 0 && (rung[l] || (ringing & ended))))

#ifdef FLIP_SNAPSHOT
#define RENUMBERED(fence) (fence >> 1)
#else
#define RENUMBERED(fence) (fence > 0 -> fence - 1 : 0)
#endif

/* Only the order of ids matters. So the lowest one is used again once nothing can happen to it any more, and the others
   move down: that is why the model needs no bound on transactions, sleeps and crashes. */
inline forget()
{
    committed = committed & ~(cursor[0] & cursor[1]);
    silent = silent & committed;
    got[0] = got[0] & committed;
    got[1] = got[1] & committed;
    do
    :: ended & cursor[0] & cursor[1] & ~ringing & 1 ->
        next_xid--;
        ended = ended >> 1;
        committed = committed >> 1;
        to_look = to_look >> 1;
        ringing = ringing >> 1;
        silent = silent >> 1;
        fences = fences >> 1;
        cursor[0] = cursor[0] >> 1;
        cursor[1] = cursor[1] >> 1;
        got[0] = got[0] >> 1;
        got[1] = got[1] >> 1;
        fence[0] = RENUMBERED(fence[0]);
        fence[1] = RENUMBERED(fence[1])
    :: else -> break
    od;
    skip
}

/* One statement: its rows and the next cursor are of one snapshot. Nothing comes twice, and nothing that is in a cursor
   has not come: a transaction that commits late is not skipped. */
inline read(l)
{
    rows = committed & UNSEEN(cursor[l]);
    assert((rows & got[l]) == 0);
    got[l] = got[l] | rows;
    cursor[l] = ended;
    assert(got[l] == (committed & cursor[l]));
    rows = 0
}

/* XidGenLock. Its transaction ends at once, but in a step of its own. */
inline draw_fence(l)
{
    fence[l] = next_xid;
    fences = fences | BIT(next_xid);
    fence_runs = 1;
    next_xid++
}

/* A transaction has no name but its id, so this is whichever one has this id now: it gets it, looks at the bell,
   commits, and rings. The row itself shows only with the commit, so writing it is no step. More statements would look
   at the bell again, and only ring more. One that is rolled back is to all others what a fence is. */
proctype transaction(byte id)
{
end:
    do
    /* XidGenLock. */
#ifdef BELL_BEFORE_XID
    :: d_step {
        next_xid == id && looked_early ->
        ringing = ringing | (saw_armed -> BIT(id) : 0);
        looked_early = 0; saw_armed = 0;
        next_xid++
       }
#else
    :: d_step { next_xid == id && !over -> to_look = to_look | BIT(id); next_xid++ }
#endif
    :: d_step { to_look & BIT(id) -> to_look = to_look & ~BIT(id); ringing = ringing | (bell -> BIT(id) : 0) }
    /* ProcArrayLock: it becomes visible and stops running at once. */
    :: d_step {
        id < next_xid && (BIT(id) & ~ended & ~to_look & ~fences) ->
        ended = ended | BIT(id);
        committed = committed | BIT(id);
        silent = silent | (BIT(id) & ~ringing);
        assert(IS_SAFE(0) && IS_SAFE(1))
       }
    /* The signal to all that listen follows the commit. A listener that has come in between has read since. */
    :: d_step {
        ringing & ended & BIT(id) ->
        ringing = ringing & ~BIT(id);
        rung[0] = rung[0] || listens[0];
        rung[1] = rung[1] || listens[1];
        forget()
       }
    od
}

#ifdef BELL_BEFORE_XID
active proctype looks_early()
{
end:
    do
    :: d_step { !looked_early && !over -> looked_early = 1; saw_armed = bell }
    od
}
#endif

/* Its session ends, and with it its locks, its LISTEN and the transaction that it has open. */
#define OR_CRASH :: atomic { l < CRASHING && !over -> crash(l); goto start }

inline crash(l)
{
    sharers = sharers & ~BIT(l);
    if
    :: fence_runs -> fences = fences & ~BIT(fence[l]); ended = ended | BIT(fence[l]); fence_runs = 0
    :: else
    fi;
    fence[l] = 0;
    waits[l] = 0;
    listens[l] = 0;
    rung[l] = 0
}

proctype listener(byte l)
{
    byte rows;
    bit fence_runs;

    /* LISTEN comes before the first read. */
start:
    listens[l] = 1;
    if
    :: d_step { read(l); forget() }
    OR_CRASH
    fi;

    /* Awake. What is in the socket when it polls goes with the read. */
end_awake:
    do
    :: d_step { rung[l] || cursor[l] != ended -> rung[l] = 0; read(l); forget() }
    /* plank.bell_awake(), tried as often as it likes. The exclusive lock is had and given back in one transaction:
       meanwhile others can only wait for it, or fail to get it as if they had come a moment before. */
#ifdef DISARM_WITHOUT_LOCK
    :: d_step { bell && !over -> bell = 0 }
#else
    :: d_step { bell && sharers == 0 && !over -> bell = 0 }
#endif
    /* plank.bell_sleep(). With the lock in hand nobody else can change the bell before it is set. */
#ifdef SLEEP_WITHOUT_LOCK
    :: d_step { !over -> bell = 1 }; break
#elif defined(FENCE_OF_THE_FLIP)
    :: d_step { next_xid < IDS && !over -> draw_fence(l) };
        d_step { sharers = sharers | BIT(l); bell = 1 };
        break
#else
    :: d_step { !over -> sharers = sharers | BIT(l); bell = 1 }; break
#endif
    OR_CRASH
    od;

    /* Armed. The fence is drawn later, in a transaction of its own. */
#ifdef FLIP_SNAPSHOT
    fence[l] = RUNNING(ended);
#else
#ifndef FENCE_OF_THE_FLIP
    do
    :: d_step { next_xid < IDS -> draw_fence(l) }; break
    /* The model has run out of ids, so a listener has to read. */
    :: d_step { next_xid == IDS && cursor[l] != ended -> read(l); forget() }
    OR_CRASH
    od;
#endif
    if
    :: atomic { fences = fences & ~BIT(fence[l]); ended = ended | BIT(fence[l]); fence_runs = 0 }
    OR_CRASH
    fi;
#endif

    /* Drowsy. What is in the socket is heard as well. To read and to look at the xmin of what was read is one step,
       since only the listener itself knows either. */
    do
    :: atomic {
        rung[l] = 0;
        read(l);
#ifdef XMIN_OF_ANOTHER_SNAPSHOT
       };
       atomic {
#endif
        if
#if defined(NO_FENCE)
        :: true -> break
#elif defined(FLIP_SNAPSHOT)
        :: (fence[l] & ~cursor[l]) == 0 -> break
#elif defined(XMIN_OF_ANOTHER_SNAPSHOT)
        :: XMIN_IS_ABOVE(ended, fence[l]) -> break
#else
        :: XMIN_IS_ABOVE(cursor[l], fence[l]) -> break
#endif
        :: else -> forget()
        fi
       }
    :: goto disarm
    OR_CRASH
    od;

    /* Asleep. */
sleep:
    atomic {
        fence[l] = 0;
        forget();
        waits[l] = 1;
        assert(IS_SAFE(l))
    };
end_asleep:
    do
#ifdef RING_TAKEN_AFTER_READ
    :: d_step { rung[l] -> waits[l] = 0 }; break
#else
    :: d_step { rung[l] -> waits[l] = 0; rung[l] = 0 }; break
#endif
    /* The slow poll behind the bell, or the hub has asked for a read. Much that it finds is a load too. */
    :: d_step { cursor[l] != ended -> read(l); forget() }
    :: d_step { !over -> waits[l] = 0 }; goto disarm
    OR_CRASH
    od;
    if
    :: atomic {
        read(l);
        forget();
#ifdef RING_TAKEN_AFTER_READ
       };
       atomic {
        rung[l] = 0;
#endif
        /* It holds B still, and is not drowsy again. */
        if
        :: goto sleep
        :: !over
        fi
       }
    OR_CRASH
    fi;

    /* It lets go of B, and is awake. To disarm the bell is tried from there. */
disarm:
    atomic { sharers = sharers & ~BIT(l); fence[l] = 0 };
    goto end_awake
}

init
{
    byte n;

    atomic {
        /* Nobody knows what earlier listeners have left behind. */
        if
        :: bell = 0
        :: bell = 1
        fi;
        for (n : 0 .. LISTENERS - 1) { run listener(n) };
        for (n : 0 .. IDS - 1) { run transaction(n) };
        n = 0
    };
#ifdef ENDS
    over = 1;
    /* Nothing is left to happen, and everybody has everything. */
    timeout -> assert(UNREAD(0) == 0 && UNREAD(1) == 0 && to_look == 0 && ringing == 0 && fences == 0)
#endif
}
