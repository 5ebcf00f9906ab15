Each statement block is one migration; it runs once, in order, and is never edited after a release.
Times are milliseconds since 1970 in UTC unless a column says otherwise. JSON is text.

-- name: first
create table events (
  id text primary key,
  accepted_ms integer not null,
  document text not null
) without rowid;
-- One row a run. The unique index is the law "at most one run per cause".
create table runs (
  id text primary key,
  job text not null,
  trigger text not null,
  cause text not null,
  event_id text not null references events (id),
  status text not null,
  created_ms integer not null,
  due_ms integer not null,
  ended_ms integer,
  reason text not null default '',
  command text not null default '[]',
  env text not null default '{}',
  overrides text not null default '{}',
  -- the process that executes it: "pid:start time", or null
  owner text,
  stop_requested integer not null default 0
) without rowid;
create unique index runs_cause on runs (job, cause);
create index runs_open on runs (status, due_ms) where status in ('queued', 'starting', 'running');
create table attempts (
  run_id text not null references runs (id),
  number integer not null,
  started_ms integer not null,
  ended_ms integer,
  ending text,
  exit_code integer,
  reason text not null default '',
  -- "pid:start time" of the process
  process text,
  primary key (run_id, number)
) without rowid;
-- The last firing of each schedule that was enqueued, so that a restart knows where it stood.
create table firings (
  job text not null,
  trigger text not null,
  anchor_ms integer not null,
  last_ms integer,
  primary key (job, trigger)
) without rowid;
-- One row an object. `inode`, `size` and `modified_ns` say which file on disk the row describes: a file that differs
-- was changed by hand, and its row is made anew.
create table objects (
  bucket text not null,
  key text not null,
  size integer not null,
  modified_ns integer not null,
  inode integer not null,
  etag text not null,
  sequencer text not null,
  -- JSON: content-type and its like, user metadata, checksums, number of parts
  attributes text not null default '{}',
  -- where the file is while it is not at buckets/BUCKET/KEY, relative to the home; null for the plain place
  place text,
  -- the file in spool/ that was committed but perhaps not yet moved to its place; null once it was
  spooled text,
  primary key (bucket, key)
) without rowid;
create index objects_spooled on objects (spooled) where spooled is not null;
create table uploads (
  id text primary key,
  bucket text not null,
  key text not null,
  started_ms integer not null,
  -- the machine's boot in which it began: parts are not synced, so they are good only until the next one
  boot text not null,
  attributes text not null default '{}'
) without rowid;
create table parts (
  upload_id text not null references uploads (id) on delete cascade,
  number integer not null,
  size integer not null,
  etag text not null,
  modified_ms integer not null,
  checksums text not null default '{}',
  file text not null,
  primary key (upload_id, number)
) without rowid
;
-- name: trust
-- When the run was asked for: created, or given another round by `retry`. Its deadline counts from here.
alter table runs add column asked_ms integer not null default 0;
-- Attempts of earlier rounds, which use up no budget.
alter table runs add column earlier_attempts integer not null default 0;
-- It may go on beside the other runs of its job (overlap, concurrency); until then it stands at the door.
alter table runs add column admitted integer not null default 0;
-- Since when it is a dead letter, or null.
alter table runs add column dead_ms integer;
update runs set asked_ms = created_ms, admitted = status in ('starting', 'running');
create index runs_active on runs (job) where admitted = 1 and status in ('queued', 'starting', 'running');
create index runs_dead on runs (dead_ms) where dead_ms is not null;
create index runs_of_job on runs (job);
create index runs_of_event on runs (event_id);
-- The process that began the attempt, and whose keeper knows how it ends.
alter table attempts add column begun_by text not null default '';
alter table attempts add column passing integer not null default 0;
alter table attempts add column peak_memory integer;
alter table attempts add column cpu_seconds real;
-- The ledger's bad side: firings that should have become a started run, and did not, or not in time.
create table missed (
  job text not null,
  trigger text not null,
  fires_ms integer not null,
  noticed_ms integer not null,
  reason text not null,
  primary key (job, trigger, fires_ms)
) without rowid;
create index missed_noticed on missed (noticed_ms);
-- Reports on their way: one row for each address, until it is delivered or given up.
create table alerts (
  id integer primary key,
  made_ms integer not null,
  address text not null,
  body text not null,
  tries integer not null default 0,
  due_ms integer not null,
  error text
)
;
-- name: queues
-- Declared by the job file. A queue that is not there any more keeps its messages, in case it comes back.
create table queues (
  name text primary key,
  created_ms integer not null,
  modified_ms integer not null,
  -- what the job file says of it, to tell a change
  settings text not null,
  purged_ms integer
) without rowid;
-- `visible_ms` alone decides what can be received: it is sent or given back for then. Of what is still hidden, a message
-- that has been received is in flight, and any other is delayed.
create table messages (
  sequence integer primary key autoincrement,
  id text not null unique,
  queue text not null,
  body text not null,
  -- message attributes as SQS writes them, JSON
  attributes text not null default '{}',
  -- who sent it, a client's id, or empty
  sender text not null default '',
  trace text not null default '',
  group_id text,
  deduplication_id text,
  sent_ms integer not null,
  visible_ms integer not null,
  receives integer not null default 0,
  first_ms integer,
  -- the last receive; null in a queue of dead letters until it is received there
  received_ms integer,
  -- who received it last, a run's id; it stays when the message goes to the dead letters
  receiver text not null default '',
  -- the run that works on it and hides it until that ends; null for any other
  holder text,
  -- where a dead letter comes from
  source text
);
-- Covers the counts as well as the next messages to be received.
create index messages_visible on messages (queue, visible_ms, received_ms, sent_ms);
create index messages_order on messages (queue, sequence) where group_id is not null;
create index messages_groups on messages (queue, group_id, sequence) where group_id is not null;
-- FIFO: what was sent within five minutes.
create table deduplications (
  queue text not null,
  deduplication_id text not null,
  message_id text not null,
  sequence integer not null,
  sent_ms integer not null,
  primary key (queue, deduplication_id)
) without rowid;
create index deduplications_sent on deduplications (sent_ms);
-- How many messages were finished, by minute.
create table finished (
  queue text not null,
  minute_ms integer not null,
  messages integer not null,
  primary key (queue, minute_ms)
) without rowid
;
-- name: work
-- What has become a message already, by its cause: deliveries may repeat, messages do not.
create table fed (
  queue text not null,
  cause text not null,
  fed_ms integer not null,
  primary key (queue, cause)
) without rowid;
create index fed_when on fed (fed_ms);
create index messages_holder on messages (holder) where holder is not null;
-- Of a dead letter: the run that has failed on it.
alter table messages add column letter_of text;
create index messages_letter_of on messages (letter_of) where letter_of is not null;
-- A run is a dead letter as long as a message of its is one, whoever deletes or moves that: any client of SQS may.
create trigger letter_gone after delete on messages when old.letter_of is not null
  and not exists (select 1 from messages where letter_of = old.letter_of)
  begin update runs set dead_ms = null where id = old.letter_of; end
;
-- name: workers
-- The workers of queues, of which a look is taken at each arrival.
create index runs_workers on runs (cause)
where status in ('queued', 'starting', 'running') and cause >= 'worker:' and cause < 'worker;'
;
-- name: created queues
-- 1: made by a client and not declared, as long as the job file does not declare it.
alter table queues add column by_client integer not null default 0
