/*
 * The doorbell: a listener that sleeps is woken by every transaction that it has not read.
 *
 * The protocol is that of src/feed/bell.rs and of the functions plank.bell_sleep() and plank.bell_awake(). Transactions
 * and listeners run in any order; every step that another session could see happen by itself is a step of its own here.
 * `atomic` stands where PostgreSQL holds a lock of its own, which the comment names.
 *
 * Transaction ids are numbered from 0, and a set of them is a mask. A pg_snapshot is such a set: the ids that had ended
 * when it was taken. Its xmax is the highest of them plus one, as in PostgreSQL (latestCompletedXid + 1): an id that has
 * been handed out above that is neither below xmax nor in the list of the running.
 *
 * Options: -DTRANSACTIONS=n, -DARMS=n, -DCRASHES=n, and one of the broken variants, see README.md.
 */

#ifndef TRANSACTIONS
#define TRANSACTIONS 3
#endif
/* How often each listener may arm the bell. All ids, those of the fences too, have to fit into a byte. */
#ifndef ARMS
#define ARMS 2
#endif
/* How often the first listener may crash. The listeners are alike, so it does not matter which one does. */
#ifndef CRASHES
#define CRASHES 1
#endif
#define LISTENERS 2

#define BIT(i) (1 << (i))
#define UP_TO(i) ((2 << (i)) - 1)

/* The parts of a snapshot. */
#define BELOW_XMAX(s) ((s) | (s) >> 1 | (s) >> 2 | (s) >> 3 | (s) >> 4 | (s) >> 5 | (s) >> 6 | (s) >> 7)
#define RUNNING(s) (BELOW_XMAX(s) & ~(s))
/* xmin is the lowest id that is not in the set, whether that one runs or is xmax. */
#define XMIN_IS_ABOVE(s, id) (((s) & UP_TO(id)) == UP_TO(id))

/* What the query of a read asks for: xid >= xmax of the cursor, or xid in its list of the running. */
#ifdef CURSOR_WITHOUT_RUNNING
#define UNSEEN(cursor) (~BELOW_XMAX(cursor))
#else
#define UNSEEN(cursor) (~BELOW_XMAX(cursor) | RUNNING(cursor))
#endif

/* The database. */
byte next_xid;
/* Ids whose transactions have ended, and those among them that have written into the log and committed. */
byte ended;
byte committed;
bit bell;
/* The lock B: who holds it shared, and whether somebody has it exclusively. */
byte sharers;
bit exclusive;
/* Transactions have no names before they have an id, so the n-th process may be the n-th that gets one. */
byte begun;

/* The listeners. */
bit listens[LISTENERS];
/* Waits for its socket and nothing else. */
bit waits[LISTENERS];
/* Whose notifications are on their way, and whose are in the socket. */
byte under_way[LISTENERS];
byte rung[LISTENERS];
/* Saved together, as a batch and its cursor are: what a crash leaves. */
byte cursor[LISTENERS];
byte got[LISTENERS];

/* I4: whoever has committed and is not in the cursor of a listener that waits has rung it. Only a commit and the
   beginning of the wait can break this, so it is checked there. */
#define IS_SAFE(l) (!waits[l] || (committed & ~cursor[l] & ~rung[l] & ~under_way[l]) == 0)

/* Of one statement: the rows and the next cursor come from one snapshot. */
inline read(l)
{
    d_step {
        rows = committed & ended & UNSEEN(cursor[l]);
        assert((rows & got[l]) == 0);
        got[l] = got[l] | rows;
        cursor[l] = ended;
        assert(got[l] == (committed & cursor[l]));
        rows = 0
    }
}

/* One transaction of a writer. The row that it logs shows itself with the commit, so writing it is no step. More
   statements would read the bell again, and only ring more. */
proctype transaction(byte number)
{
    byte xid;
    bit rings;

#ifdef BELL_BEFORE_XID
    rings = bell;
#endif
    /* XidGenLock. */
    atomic { begun == number -> xid = next_xid; next_xid++; begun++ }
#ifndef BELL_BEFORE_XID
    rings = bell;
#endif
    if
    /* It commits. ProcArrayLock: it becomes visible and leaves the list of the running at once. The notification was
       put into the queue before, for everybody who listens by now, and the signal follows. */
    :: atomic {
        true ->
        ended = ended | BIT(xid);
        committed = committed | BIT(xid);
        if
        :: rings && listens[0] -> under_way[0] = under_way[0] | BIT(xid)
        :: else
        fi;
        if
        :: rings && listens[1] -> under_way[1] = under_way[1] | BIT(xid)
        :: else
        fi;
        assert(IS_SAFE(0) && IS_SAFE(1))
       }
    /* It is rolled back. */
    :: atomic { ended = ended | BIT(xid); rings = 0 }
    fi;
    if
    :: rings -> atomic {
        rung[0] = rung[0] | (under_way[0] & BIT(xid)); under_way[0] = under_way[0] & ~BIT(xid);
        rung[1] = rung[1] | (under_way[1] & BIT(xid)); under_way[1] = under_way[1] & ~BIT(xid)
       }
    :: else
    fi;
    atomic { xid = 0; rings = 0 }
}

proctype listener(byte l)
{
    byte rows;
    byte arms = ARMS;
    byte crashes;
    byte fence;
    bit fence_runs;
    bit has_exclusive;

    crashes = (l == 0 -> CRASHES : 0);

start:
    {
        /* LISTEN comes before the first read. */
        listens[l] = 1;
        read(l);
awake:
end_awake:
        if
        /* A read that would find nothing new changes nothing. */
        :: ended != cursor[l] -> read(l); goto awake
        :: rung[l] -> rung[l] = 0; goto awake
        :: arms > 0 -> arms--
        fi;

        /* The bell is armed: plank.bell_sleep(). */
#ifdef FENCE_OF_THE_FLIP
        d_step { fence = next_xid; next_xid++; fence_runs = 1 };
#endif
#ifndef SLEEP_WITHOUT_LOCK
        atomic { !exclusive -> sharers = sharers | BIT(l) };
#endif
        bell = 1;
#if defined(FLIP_SNAPSHOT)
        fence = RUNNING(ended);
#elif !defined(FENCE_OF_THE_FLIP)
        /* The fence, drawn in a later transaction of its own. XidGenLock, then ProcArrayLock. */
        d_step { fence = next_xid; next_xid++; fence_runs = 1 };
#endif
#ifndef FLIP_SNAPSHOT
        d_step { ended = ended | BIT(fence); fence_runs = 0 };
#endif

drowsy:
        if
        :: atomic {
            read(l);
#if defined(NO_FENCE)
            if
            :: true -> goto sleep
            fi
#elif defined(FLIP_SNAPSHOT)
            if
            :: (fence & ~cursor[l]) == 0 -> goto sleep
            :: else -> goto drowsy
            fi
#else
            if
            :: XMIN_IS_ABOVE(cursor[l], fence) -> goto sleep
            :: else -> goto drowsy
            fi
#endif
           }
        /* The bell is heard as well; a read may follow, or not. */
        :: rung[l] -> rung[l] = 0; goto drowsy
        :: goto disarm
        fi;

sleep:
        atomic { fence = 0; waits[l] = 1; assert(IS_SAFE(l)) };
end_asleep:
        atomic { rung[l] -> waits[l] = 0;
#ifndef RING_TAKEN_AFTER_READ
            rung[l] = 0
#endif
        };
        read(l);
#ifdef RING_TAKEN_AFTER_READ
        rung[l] = 0;
#endif
        if
        :: goto sleep
        :: goto disarm
        fi;

disarm:
        fence = 0;
        /* Let go first: plank.bell_awake() tries to get it alone. Its lock is given back when its transaction ends. */
        sharers = sharers & ~BIT(l);
#ifdef DISARM_WITHOUT_LOCK
        bell = 0;
#else
        if
        :: atomic { !exclusive && sharers == 0 -> exclusive = 1; has_exclusive = 1 };
            bell = 0;
            atomic { exclusive = 0; has_exclusive = 0 }
        :: atomic { exclusive || sharers != 0 -> skip }
        fi;
#endif
        goto awake
    } unless {
        /* The process or its connection ends, whatever it is at. Its locks and its LISTEN go with the session, and a
           transaction that it had open is rolled back. */
        atomic {
            crashes > 0 ->
            crashes--;
            sharers = sharers & ~BIT(l);
            if
            :: has_exclusive -> exclusive = 0; has_exclusive = 0
            :: else
            fi;
            if
            :: fence_runs -> ended = ended | BIT(fence); fence_runs = 0
            :: else
            fi;
            fence = 0; rows = 0;
            waits[l] = 0;
            listens[l] = 0;
            under_way[l] = 0;
            rung[l] = 0
        }
    };
    goto start
}

init
{
    byte i;

    atomic {
        /* Nobody knows what earlier listeners have left behind. */
        if
        :: bell = 0
        :: bell = 1
        fi;
        for (i : 0 .. LISTENERS - 1) { run listener(i) };
        for (i : 0 .. TRANSACTIONS - 1) { run transaction(i) };
        i = 0
    };
    /* Nothing is left to happen. */
    timeout -> assert(got[0] == committed && got[1] == committed)
}
