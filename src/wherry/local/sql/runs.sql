-- name: add_event
insert or ignore into events (id, accepted_ms, document) values (:id, :accepted_ms, :document);

-- name: add_run
-- The unique index on (job, cause) makes a repeated cause no run at all.
insert or ignore into runs (id, job, trigger, cause, event_id, status, created_ms, due_ms, overrides, owner)
values (:id, :job, :trigger, :cause, :event_id, :status, :created_ms, :due_ms, :overrides, :owner);

-- name: claim_run
update runs set status = 'starting', owner = :owner
where id = :id and status = 'queued' and (owner is null or owner = :owner) and due_ms <= :now_ms;

-- name: add_attempt
insert into attempts (run_id, number, started_ms) values (:run_id, :number, :now_ms);

-- name: attempt_started
update attempts set process = :process where run_id = :run_id and number = :number;

-- name: run_started
update runs set status = 'running', command = :command, env = :env where id = :id;

-- name: attempt_ended
update attempts set ended_ms = :now_ms, ending = :ending, exit_code = :exit_code, reason = :reason
where run_id = :run_id and number = :number;

-- name: run_decided
update runs set status = :status, due_ms = coalesce(:due_ms, due_ms), ended_ms = :ended_ms, reason = :reason, owner = null
where id = :id;

-- name: request_stop
update runs set stop_requested = 1 where id = :id and status in ('queued', 'starting', 'running');

-- name: stop_queued
update runs set status = 'stopped', ended_ms = :now_ms, reason = 'stopped on request before it started'
where id = :id and status = 'queued' and stop_requested = 1;

-- name: stop_requests
select id, status from runs where stop_requested = 1 and status in ('queued', 'starting', 'running');

-- name: queued_runs
select id, due_ms from runs where status = 'queued' and owner is null order by due_ms, id;

-- name: owned_runs
select id, owner from runs where status in ('queued', 'starting', 'running') and owner is not null order by id;

-- name: release_run
update runs set owner = null where id = :id and owner = :owner;

-- name: adopt_run
update runs set owner = :owner where id = :id and owner = :old_owner;

-- name: run
select runs.*, events.document from runs join events on events.id = runs.event_id where runs.id = :id;

-- name: ids_like
select id from runs where id >= :first and id < :last order by id limit 6;

-- name: attempts
select * from attempts where run_id = :run_id order by number;

-- name: list_runs
select runs.*, events.document from runs join events on events.id = runs.event_id
where (:job is null or job = :job) and (:since_ms is null or created_ms >= :since_ms)
  and (:statuses is null or status in (select value from json_each(:statuses)))
order by runs.id desc limit :limit;

-- name: counts
select status, count(*) as runs from runs where :since_ms is null or created_ms >= :since_ms group by status;

-- name: firing
select anchor_ms, last_ms from firings where job = :job and trigger = :trigger;

-- name: keep_anchor
insert or ignore into firings (job, trigger, anchor_ms) values (:job, :trigger, :anchor_ms);

-- name: keep_firing
update firings set last_ms = max(coalesce(last_ms, 0), :last_ms) where job = :job and trigger = :trigger;
