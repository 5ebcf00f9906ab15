-- name: add_event
insert or ignore into events (id, accepted_ms, document) values (:id, :accepted_ms, :document);

-- name: add_run
-- The unique index on (job, cause) makes a repeated cause no run at all.
insert or ignore into runs
  (id, job, trigger, cause, event_id, status, admitted, created_ms, asked_ms, due_ms, overrides, owner)
values (:id, :job, :trigger, :cause, :event_id, :status, :admitted, :now_ms, :now_ms, :now_ms, :overrides, :owner);

-- name: retell
update events set document = :document where id = (select event_id from runs where id = :id);

-- name: active
-- Those that work on messages do not count: how many of them there are at once is their queue's affair.
select count(*) from runs
where job = :job and cause not like 'queue:%' and admitted = 1 and status in ('queued', 'starting', 'running') and id <> :id;

-- name: admit
update runs set admitted = 1 where id = :id and status = 'queued';

-- name: claim
update runs set status = 'starting', owner = :owner, admitted = 1, reason = ''
where id = :id and status = 'queued' and (owner is null or owner = :owner) and due_ms <= :now_ms and stop_requested = 0;

-- name: open_attempt
insert into attempts (run_id, number, started_ms, begun_by)
values (:id, (select count(*) + 1 from attempts where run_id = :id), :now_ms, :owner);

-- name: attempt_started
update attempts set process = :process where run_id = :id and number = :number;

-- name: run_started
update runs set status = 'running', command = :command, env = :env where id = :id and status = 'starting';

-- name: attempt_ended
update attempts set ended_ms = :ended_ms, ending = :ending, exit_code = :exit_code, reason = :reason, passing = :passing,
  peak_memory = :peak_memory, cpu_seconds = :cpu_seconds
where run_id = :id and number = :number;

-- name: decided
update runs set status = :status, due_ms = coalesce(:due_ms, due_ms), ended_ms = :ended_ms, reason = :reason,
  dead_ms = :dead_ms, command = :command, env = :env, owner = null
where id = :id;

-- name: close
-- The end of a run without another attempt.
update runs set status = :status, ended_ms = :ended_ms, reason = :reason, dead_ms = :dead_ms, owner = null
where id = :id and status = 'queued';

-- name: before_close
select earlier_attempts, cause from runs where id = :id;

-- name: is_dead
select 1 from runs where id = :id and dead_ms is not null;

-- name: another_round
update runs set status = 'queued', asked_ms = :now_ms, due_ms = :now_ms, ended_ms = null, reason = '', admitted = 0,
  dead_ms = null, stop_requested = 0, owner = :owner,
  earlier_attempts = (select count(*) from attempts where run_id = :id)
where id = :id and status in ('failed', 'timed_out', 'stopped', 'skipped');

-- name: bury
update runs set dead_ms = null where id = :id;

-- name: bury_letters
delete from messages where letter_of = :id;

-- name: request_stop
update runs set stop_requested = 1 where id = :id and status in ('queued', 'starting', 'running');

-- name: dismiss
-- A worker's end that is no failure: what a person has asked for before stands.
update runs set stop_requested = 2
where id = :id and stop_requested = 0 and status in ('queued', 'starting', 'running');

-- name: dismissed
select id, status from runs where stop_requested = 2 and status in ('queued', 'starting', 'running');

-- name: workers
select id, job, cause, status from runs indexed by runs_workers
where status in ('queued', 'starting', 'running') and stop_requested = 0 and cause >= 'worker:' and cause < 'worker;'
order by id;

-- name: at_work
select cause from runs where status in ('starting', 'running') and (cause like 'worker:%' or cause like 'queue:%');

-- name: stumbled
-- Runs of messages that wait because they could not start, the one that was tried last at the end.
select runs.id, cause from runs join attempts on attempts.run_id = runs.id
where status = 'queued' and cause like 'queue:%' and ending = 'could_not_start'
  and number = (select max(number) from attempts where run_id = runs.id)
order by attempts.ended_ms;

-- name: stop_requests
select id, status from runs where stop_requested = 1 and status in ('queued', 'starting', 'running');

-- name: queued
select id, job, cause, due_ms, asked_ms, admitted from runs where status = 'queued' and owner is null order by due_ms, id;

-- name: open_ids
select id from runs where status in ('queued', 'starting', 'running');

-- name: owned
select id, job, owner,
  coalesce((select begun_by from attempts where run_id = runs.id order by number desc limit 1), '') as begun_by
from runs where status in ('queued', 'starting', 'running') and owner is not null order by id;

-- name: owner
select owner from runs where id = :id;

-- name: own
update runs set owner = :owner where id = :id and status = 'queued' and owner is null;

-- name: release
update runs set owner = null where id = :id and owner = :owner;

-- name: mend_clock
-- Asked for, or failed, by a clock that was ahead: they wait as long as they would have waited.
update runs set due_ms = :now_ms + max(0, due_ms - max(created_ms,
  coalesce((select max(ended_ms) from attempts where run_id = runs.id), 0)))
where status = 'queued' and due_ms > :now_ms
  and (created_ms > :now_ms or exists (select 1 from attempts where run_id = runs.id and ended_ms > :now_ms))
returning id;

-- name: adopt
update runs set owner = :owner where id = :id and owner = :old_owner;

-- name: run
select runs.*, events.document from runs join events on events.id = runs.event_id where runs.id = :id;

-- name: attempts
select * from attempts where run_id = :id order by number;

-- name: ids_like
select id from runs where id >= :first and id < :last order by id limit 6;

-- name: of_cause
select id from runs where job = :job and cause = :cause;

-- name: list
select runs.*, events.document from runs join events on events.id = runs.event_id
where (:job is null or runs.job = :job) and runs.id >= :first
  and (:statuses is null or status in (select value from json_each(:statuses)))
order by runs.id desc limit :limit;

-- name: list_dead
select runs.*, events.document from runs indexed by runs_dead join events on events.id = runs.event_id
where dead_ms >= :since_ms and (:job is null or runs.job = :job) and (:reason is null or instr(lower(runs.reason), lower(:reason)))
order by runs.id desc limit :limit;

-- name: dead_count
select count(*) from runs where dead_ms is not null;

-- name: counts
select status, count(*) as runs from runs where id >= :first group by status;

-- name: fired
-- Runs that triggers have made, not those that a person has asked for: their causes begin otherwise.
select job, trigger, count(*) as runs from runs
where id >= :first and (cause like 'schedule:%' or cause like 'upload:%' or cause like 'event:%' or cause like 'queue:%')
group by job, trigger;
