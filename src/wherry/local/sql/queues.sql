-- name: queue
select * from queues where name = :name;

-- name: declare
insert into queues (name, created_ms, modified_ms, settings) values (:name, :now_ms, :now_ms, :settings)
on conflict (name) do update set settings = excluded.settings, by_client = 0,
  modified_ms = iif(settings = excluded.settings, modified_ms, excluded.modified_ms);

-- name: created
select name, settings from queues where by_client = 1 order by name;

-- name: create
-- Of two clients at once the first one has made it.
insert into queues (name, created_ms, modified_ms, settings, by_client)
values (:name, :now_ms, :now_ms, :settings, 1)
on conflict (name) do update set settings = excluded.settings, created_ms = excluded.created_ms,
  modified_ms = excluded.modified_ms, purged_ms = null, by_client = 1 where by_client = 0;

-- name: change
update queues set settings = :settings, modified_ms = :now_ms where name = :name and by_client = 1;

-- name: remove
delete from queues where name = :name and by_client = 1;

-- name: forget_queue
delete from deduplications where queue = :name;

-- name: add
-- Not by name: this statement is executed more often than any other.
insert into messages (id, queue, body, attributes, sender, trace, group_id, deduplication_id, sent_ms, visible_ms)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: last_of_group
-- A FIFO message is not received before those of its group that were sent earlier.
select visible_ms from messages where queue = :queue and group_id = :group_id and received_ms is null
order by sequence desc limit 1;

-- name: known
select message_id, sequence from deduplications
where queue = :queue and deduplication_id = :deduplication_id and sent_ms > :since_ms;

-- name: forget
delete from deduplications where sent_ms <= :since_ms;

-- name: remember
insert or replace into deduplications (queue, deduplication_id, message_id, sequence, sent_ms)
values (:queue, :deduplication_id, :message_id, :sequence, :sent_ms);

-- name: is_waiting
select 1 from messages where queue = :queue and visible_ms <= :now_ms limit 1;

-- name: is_gone
select 1 from runs where id = :id and (stop_requested = 2 or status not in ('starting', 'running'));

-- name: all_waiting
select queue, count(*) as messages from messages where holder is null and source is null group by queue;

-- name: next
select * from messages where queue = :queue and visible_ms <= :now_ms
order by visible_ms, received_ms, sent_ms, sequence limit :most;

-- name: blocked
select distinct group_id from messages where queue = :queue and visible_ms > :now_ms and received_ms is not null
  and (sent_ms > :expired_ms or holder is not null);

-- name: has_other_group
-- From one group to the next by the index, so that a group with many messages costs no more than one with few. One more
-- than are blocked are enough to find one that is not.
with recursive groups (id, number) as (
  select min(group_id), 1 from messages where queue = :queue and group_id is not null
  union all
  select (select min(group_id) from messages where queue = :queue and group_id > groups.id), number + 1
  from groups where id is not null and number <= json_array_length(:blocked)
)
select 1 from groups where id is not null and id not in (select value from json_each(:blocked)) limit 1;

-- name: next_of_groups
select * from messages indexed by messages_order where queue = :queue and group_id is not null and visible_ms <= :now_ms
  and group_id not in (select value from json_each(:blocked))
order by sequence limit :most;

-- name: take
update messages set visible_ms = :visible_ms, received_ms = :now_ms, first_ms = coalesce(first_ms, :now_ms),
  receives = receives + 1, receiver = :receiver, holder = :holder
where sequence in (select value from json_each(:sequences));

-- name: bury
update messages set queue = :letters, source = queue, letter_of = holder, visible_ms = :now_ms, received_ms = null, holder = null,
  deduplication_id = iif(group_id is null, deduplication_id, id)
where sequence in (select value from json_each(:sequences));

-- name: of_ids
select * from messages where id in (select value from json_each(:ids)) order by sequence;

-- name: count_again
update messages set receives = receives + 1 where id in (select value from json_each(:ids));

-- name: hold_again
update messages set queue = :queue, source = null, letter_of = null, visible_ms = :visible_ms, received_ms = :now_ms,
  first_ms = coalesce(first_ms, :now_ms), receives = receives + 1, receiver = :holder, holder = :holder
where id = :id and queue in (:queue, :letters) and holder is null;

-- name: release
update messages set visible_ms = :visible_ms, holder = null, receives = max(receives - :uncount, 0)
where id in (select value from json_each(:ids));

-- name: of_receipt
select sequence, queue, visible_ms, received_ms, receives, receiver from messages where sequence = :sequence and id = :id;

-- name: delete
delete from messages where sequence = :sequence;

-- name: delete_received
delete from messages where sequence = ? and receives = ? and id = ? and queue = ?;

-- name: hide
update messages set visible_ms = :visible_ms where sequence = :sequence;

-- name: delete_ids
delete from messages where id in (select value from json_each(:ids));

-- name: tally
insert into finished (queue, minute_ms, messages) values (:queue, :minute_ms, :messages)
on conflict (queue, minute_ms) do update set messages = messages + excluded.messages;

-- name: finished
select coalesce(sum(messages), 0) from finished where queue = :queue and minute_ms > :since_ms;

-- name: forget_finished
delete from finished where minute_ms <= :since_ms;

-- name: prune
delete from messages where queue = :queue and sent_ms <= :sent_ms and holder is null;

-- name: prune_undeclared
delete from messages where queue not in (select value from json_each(:queues)) and sent_ms <= :sent_ms and holder is null;

-- name: purge
delete from messages where queue = :queue;

-- name: note_purge
update queues set purged_ms = :now_ms where name = :name;

-- name: counts
select count(*) filter (where visible_ms <= :now_ms) as waiting,
  count(*) filter (where visible_ms > :now_ms and received_ms is not null) as in_flight,
  count(*) filter (where visible_ms > :now_ms and received_ms is null) as delayed,
  min(sent_ms) filter (where visible_ms <= :now_ms) as oldest_ms
from messages where queue = :queue and (sent_ms > :expired_ms or visible_ms = :held_ms);

-- name: in_flight_of
select count(*) from messages where queue in (select value from json_each(:queues))
  and visible_ms > :now_ms and received_ms is not null and receiver = :receiver;

-- name: peek
select * from messages where queue = :queue and (sent_ms > :expired_ms or holder is not null)
order by sequence limit :limit;

-- name: mend_clock
-- Sent by a clock that was ahead, and never received: it would be hidden until the clock has come so far.
update messages set sent_ms = :now_ms, visible_ms = :now_ms + visible_ms - sent_ms
where queue in (select value from json_each(:queues)) and visible_ms > :now_ms and received_ms is null and sent_ms > :now_ms;

-- name: mend_in_flight
-- Received by that clock, and hidden for as long as the receiver has asked for; what a run holds waits for its end.
update messages set received_ms = :now_ms, visible_ms = max(:now_ms, :now_ms + visible_ms - received_ms)
where queue in (select value from json_each(:queues)) and holder is null and received_ms > :now_ms and visible_ms > :now_ms;

-- name: mend_letters
-- Buried by that clock: they kept the age that they had.
update messages set visible_ms = :now_ms
where queue in (select value from json_each(:queues)) and source is not null and received_ms is null and visible_ms > :now_ms;

-- name: mend_deduplications
-- Else what is sent with the same id would be taken for a repetition for as long as the clock was ahead.
update deduplications set sent_ms = :now_ms where sent_ms > :now_ms;

-- name: next_due
select min(visible_ms) from messages where queue = :queue and visible_ms > :now_ms and visible_ms < :held_ms;

-- name: to_move
select * from messages where queue = :queue and visible_ms <= :began_ms and sent_ms > :expired_ms
  and (:sources is null or source in (select value from json_each(:sources)))
order by sequence limit :most;
