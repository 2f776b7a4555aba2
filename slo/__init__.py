"""What is a miss? One `Slo`, how it is written, which turns miss it, and how sure that is."""
