-- name: held_by
select * from messages where holder = :run_id order by sequence;

-- name: letters_of
select id from messages where letter_of = :run_id order by sequence;

-- name: before
-- Another message of one of its groups that is in flight: to a client, to an attempt, or to a run with older messages.
select 1 from messages mine join messages other on other.queue = mine.queue and other.group_id = mine.group_id
where mine.holder = :run_id and other.holder is not mine.holder
  and other.visible_ms > :now_ms and other.received_ms is not null
  and (other.holder is null
    or exists (select 1 from runs where runs.id = other.holder and status in ('starting', 'running'))
    or (select min(sequence) from messages where holder = other.holder)
      < (select min(sequence) from messages where holder = :run_id))
limit 1;
