-- name: too_old
-- A run with a dead letter stays as long as that: it says why, and is the way back.
select id from runs where ended_ms is not null
  and not exists (select 1 from messages where letter_of = runs.id)
  and (ended_ms < :ended_ms or id <= (select id from runs order by id desc limit 1 offset :keep))
order by id limit :limit;

-- name: open_runs
-- And those with dead letters, whose logs are needed yet.
select id from runs where status in ('queued', 'starting', 'running')
union select letter_of from messages where letter_of is not null;

-- name: has_ended
select 1 from runs where id = :id and ended_ms is not null;

-- name: ids
select id from runs;

-- name: delete_attempts
delete from attempts where run_id = :id;

-- name: delete_run
delete from runs where id = :id;

-- name: delete_events
delete from events where not exists (select 1 from runs where runs.event_id = events.id);

-- name: delete_fed
delete from fed where fed_ms < :before_ms and cause not like 'test:%';

-- name: delete_missed
delete from missed where noticed_ms < :before_ms;

-- name: objects_size
select coalesce(sum(size), 0) from objects;
