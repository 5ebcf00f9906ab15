-- name: keep_anchor
insert or ignore into firings (job, trigger, anchor_ms) values (:job, :trigger, :anchor_ms);

-- name: forget
delete from firings where job = :job and trigger = :trigger;

-- name: all
select job, trigger, anchor_ms, last_ms from firings;

-- name: keep
-- Not the latest of all: a clock that was ahead must not hide what is missed once it is right again.
update firings set last_ms = :last_ms where job = :job and trigger = :trigger;

-- name: miss
-- Another engine may have fired it; a late one has its run, which has not begun.
insert or ignore into missed (job, trigger, fires_ms, noticed_ms, reason)
select :job, :trigger, :fires_ms, :noticed_ms, :reason
where :late or not exists (select 1 from runs where runs.job = :job and runs.cause = :cause);

-- name: missed
select * from missed where noticed_ms >= :since_ms order by fires_ms desc, job limit :limit;

-- name: late
-- Scheduled runs that have not begun long after they were due; each is told once.
select runs.id, runs.job, runs.cause, runs.created_ms, runs.admitted from runs
where runs.status = 'queued' and runs.cause like 'schedule:%' and runs.asked_ms < :before_ms
  and not exists (select 1 from attempts where attempts.run_id = runs.id);
